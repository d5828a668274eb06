"""Group delay from levels; as in `distill.dsp.delay`, which has the maths."""

from __future__ import annotations

import math
from typing import Any

from distill.dsp.delay import BEGINS, MAX_FORWARD, MAX_GROWTH, STEADY, least

from .tables import Tables

Array = Any


def slopes(levels: Array, before: int, m: int, onset: Array, tables: Tables) -> Array:
    """Slopes [m, n_bins], turns per bin, of rows before .. before + m of `levels`, nepers.

    before: 1, or 0 if the first of these rows is the first of the recording
    onset:  [m] bool, the frames in which something begins
    """
    xp, spec, rows = tables.xp, tables.spec, levels.shape[0]
    levels = xp.clip(levels, least(spec), None)
    log_bins = tables.to_bins(levels)
    last, now, later = _around(log_bins, before, m, xp)
    known = xp.ones((m, 1), dtype=xp.float32)  # whether there is a frame before and one after
    if not before:
        known[0, 0] = 0
    if rows == before + m:
        known[-1, 0] = 0
    on = xp.clip(0.5 * (later - last), -MAX_GROWTH, MAX_GROWTH) * known * tables.slope

    band_last, band_now, band_later = _around(levels, before, m, xp)
    change = xp.maximum(xp.abs(band_later - band_now), xp.abs(band_now - band_last))
    rest = 1 - xp.clip(change * (spec.n_fft / (STEADY * spec.hop_length)), 0.0, 1.0)
    on = on + xp.take(rest, tables.nearest_band, axis=1) * known * tables.spread

    angle = math.pi * spec.hop_length / spec.n_fft
    ratio = xp.exp(0.5 * xp.clip(later - now, -MAX_FORWARD, MAX_FORWARD))
    begun = xp.atan(xp.maximum(ratio - math.cos(angle), xp.zeros_like(ratio)) / math.sin(angle)) * (-1 / math.pi)
    share = xp.clip((now - last - BEGINS[0]) / (BEGINS[1] - BEGINS[0]), 0.0, 1.0)
    if not before:
        share[0, :] = 1
    share = xp.where(onset[:, None], share, xp.zeros_like(share))
    return on + share * (begun - on)


def _around(values: Array, before: int, m: int, xp: Any) -> tuple[Array, Array, Array]:
    """Rows before .. before + m, and to each the one before and the one after; at the ends of a recording itself."""
    now = values[before : before + m, :]
    later = xp.concat([values[before + 1 :, :], now[-1:, :]], axis=0)[:m, :]
    last = values[:m, :] if before else xp.concat([now[:1, :], values], axis=0)[:m, :]
    return last, now, later
