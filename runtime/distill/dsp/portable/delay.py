"""Group delay from levels; as in `distill.dsp.delay`, which has the maths."""

from __future__ import annotations

import math
from typing import Any

from distill.dsp.delay import BEGINS, MAX_FORWARD, MAX_GROWTH, STEADY

from .tables import Tables

Array = Any


def slopes(log_bins: Array, before: int, m: int, onset: Array, tables: Tables) -> Array:
    """Slopes [m, n_bins], turns per bin, of rows before .. before + m of the log magnitudes `log_bins`, nepers.

    before: 1, or 0 if the first of these rows is the first of the recording
    onset:  [m] bool, the frames in which something begins
    """
    xp, spec, rows = tables.xp, tables.spec, log_bins.shape[0]
    now = log_bins[before : before + m, :]
    later = xp.concat([log_bins[before + 1 :, :], now[-1:, :]], axis=0)[:m, :]
    last = log_bins[:m, :] if before else xp.concat([now[:1, :], log_bins], axis=0)[:m, :]
    known = xp.ones((m, 1), dtype=xp.float32)  # whether there is a frame before and one after
    if not before:
        known[0, 0] = 0
    if rows == before + m:
        known[-1, 0] = 0
    on = xp.clip(0.5 * (later - last), -MAX_GROWTH, MAX_GROWTH) * known * tables.slope

    change = xp.maximum(xp.abs(later - now), xp.abs(now - last)) / (STEADY * spec.hop_length / spec.n_fft)
    on = on + (1 - xp.clip(change, 0.0, 1.0)) * known * tables.spread

    angle = math.pi * spec.hop_length / spec.n_fft
    ratio = xp.exp(0.5 * xp.clip(later - now, -MAX_FORWARD, MAX_FORWARD))
    begun = xp.atan(xp.maximum(ratio - math.cos(angle), xp.zeros_like(ratio)) / math.sin(angle)) * (-1 / math.pi)
    share = xp.clip((now - last - BEGINS[0]) / (BEGINS[1] - BEGINS[0]), 0.0, 1.0)
    if not before:
        share[0, :] = 1
    share = xp.where(onset[:, None], share, xp.zeros_like(share))
    return on + share * (begun - on)
