"""Group delay from levels: when, inside its window, each frequency of a frame sounds.

It is given as the slope of the phase along frequency, in turns per bin: energy that lies `tau` samples after the
window's centre has the slope -tau / n_fft.

Where sound goes on, the level's derivative in time tells. For a Gaussian window of time-frequency ratio gamma the slope
is -gamma * d/dt log M (Prusa, Balazs & Sondergaard, 2017); a Hann window of n_fft samples is matched by gamma = 0.25645
n_fft^2. In turns and bins, with the derivative taken per hop: -(0.25645 n_fft / (2 pi hop)) * d/dt log M.

Where sound begins, the frame before holds none of it and the derivative is without bounds. Two frames that both see an
impulse through the Hann window cos^2(pi u / n_fft), at u = tau in the one and u = tau - hop in the next, have levels
whose ratio R fixes its place:

    tan(pi tau / n_fft) = (sqrt(R) - cos(pi hop / n_fft)) / sin(pi hop / n_fft)

Where bands are wider than bins, a level says nothing of the fine structure of what it stands for, and one slope for
many bins would make a pulse of it: noise would buzz at the rate of the frames. So there, where levels are steady, each
bin gets a delay of its own, always the same, from within somewhat more than a hop (`spread`).
Near the floor, a level without the floor's power is the logarithm of a small difference, of which rounding is a large
part. So here levels count down to 20 dB under the floor and no further: phases would otherwise go by the last bit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

from .axis import axis

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

GAMMA = 0.25645  # of a Hann window, over n_fft^2
MAX_GROWTH = 1.5  # nepers per hop; steeper changes would throw the group delay out of the window
BEGINS = (1.0, 2.0)  # nepers of rise in a hop between which a bin turns from going on to beginning
MAX_FORWARD = 20.0  # nepers; keeps the exponential finite
STEADY = 4.0  # nepers per n_fft samples, the rise or fall of a level up to which bins are spread, ever less
UNDER_FLOOR_DB = 20.0  # down to which levels count
_SPREAD = 1.25  # hops to either side
_APART = (1.5, 3.5)  # bins from band to band: from where on, and from where on in full


def slopes(
    levels: Floats, log_bins: Floats, before: int, m: int, onsets: Indices, spec: SpectrogramSpec
) -> Floats:
    """Slopes [m, n_bins], turns per bin, of rows before .. before + m of `levels`, nepers, `log_bins` at the bins.

    before: 1, or 0 if the first of these rows is the first of the recording: there, everything begins
    onsets: those of the m frames, ascending, in which something begins
    The last frame of a recording has no next one: there, nothing is known to change.
    """
    lowest = np.float32(least(spec))
    if levels.min() < lowest:  # before they are interpolated, or the lowest would have a say in their neighbours
        levels = np.maximum(levels, lowest)
        log_bins = axis(spec).to_bins(levels)
    result = np.zeros((m, spec.n_bins), np.float32)
    low = 0 if before else 1
    high = m if len(log_bins) > before + m else m - 1
    if high > low:
        changing = result[low:high]
        np.subtract(
            log_bins[before + low + 1 : before + high + 1], log_bins[before + low - 1 : before + high - 1], out=changing
        )
        changing.clip(-2 * MAX_GROWTH, 2 * MAX_GROWTH, out=changing)
        changing *= np.float32(per_growth(spec) / 2)
        _spread_out(changing, levels[before + low - 1 : before + high + 1], spec)
    if len(onsets):
        rows = before + onsets
        now, last = log_bins[rows], log_bins[np.maximum(rows - 1, 0)]
        begun = _begun(now, log_bins[np.minimum(rows + 1, len(log_bins) - 1)], spec)
        share = ((now - last - BEGINS[0]) / (BEGINS[1] - BEGINS[0])).clip(0, 1)
        share[rows == 0] = 1
        result[onsets] += share * (begun - result[onsets])
    return result


def least(spec: SpectrogramSpec) -> float:
    """The level, nepers, that lower ones are taken for."""
    return (spec.floor_db - UNDER_FLOOR_DB) * math.log(10) / 20


def per_growth(spec: SpectrogramSpec) -> float:
    """Slope, turns per bin, where the level grows by one neper a hop."""
    return -GAMMA * spec.n_fft / (2 * math.pi * spec.hop_length)


@lru_cache(maxsize=16)
def spread(spec: SpectrogramSpec) -> Floats:
    """Slope [n_bins], turns per bin, of each bin's own where levels are steady; 0 where the bands resolve bins."""
    bins = np.arange(spec.n_bins, dtype=np.float64)
    apart = np.interp(bins, axis(spec).centres, np.gradient(axis(spec).centres))
    share = np.clip((apart - _APART[0]) / (_APART[1] - _APART[0]), 0, 1)
    chance = 2 * np.mod(math.sqrt(3) * bins * bins, 1.0) - 1
    result: Floats = (_SPREAD * spec.hop_length / spec.n_fft * share * chance).astype(np.float32)
    return result


def _spread_out(result: Floats, levels: Floats, spec: SpectrogramSpec) -> None:
    """Add the bins' own to slopes [m, n_bins], as far as the levels rest.

    levels: [m + 2, n_mels], one frame more to either side
    """
    first_band, band, first_bin, own = _unresolved(spec)
    if not len(own):
        return
    change = levels[1:, first_band:] - levels[:-1, first_band:]
    np.abs(change, out=change)
    rest = np.maximum(change[1:], change[:-1])
    rest *= np.float32(-spec.n_fft / (STEADY * spec.hop_length))
    rest += np.float32(1)
    np.maximum(rest, 0, out=rest)
    added = rest.take(band, axis=1, mode="clip")
    added *= own
    result[:, first_bin:] += added


@lru_cache(maxsize=16)
def _unresolved(spec: SpectrogramSpec) -> tuple[int, Indices, int, Floats]:
    """Of the bins that have slopes of their own: the first one's band, their bands from there on, the first, slopes."""
    own = spread(spec)
    first = int(np.argmax(own != 0)) if own.any() else len(own)
    band = axis(spec).nearest_band[first:]
    return (int(band[0]) if len(band) else spec.n_mels), band - band[:1], first, own[first:].copy()


def _begun(now: Floats, later: Floats, spec: SpectrogramSpec) -> Floats:
    """Slopes [m, n_bins] of frames `now` [m, n_bins] that see for the first time what is seen `later`."""
    angle = math.pi * spec.hop_length / spec.n_fft
    place = later - now
    np.minimum(place, np.float32(MAX_FORWARD), out=place)
    place *= np.float32(0.5)
    np.exp(place, out=place)
    place -= np.float32(math.cos(angle))
    np.maximum(place, 0, out=place)
    place *= np.float32(1 / math.sin(angle))
    np.arctan(place, out=place)
    place *= np.float32(-1 / math.pi)
    return place
