"""What follows from a spec, once, in the memory of a library's arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from distill.dsp.axis import axis
from distill.dsp.delay import per_growth, spread
from distill.dsp.phase import advances
from distill.dsp.stft import window
from distill.spec import SpectrogramSpec

Array = Any


class Tables:
    """Tables of one spec as arrays of `xp`. Get them from `tables(spec, xp)`, which keeps them.

    left, right:      [n_bins] int64, the bands below and above each bin
    fraction:         [n_bins] float32, how far the bin lies from the one to the other
    filterbank:       [n_bins, n_mels] float32, columns sum to one
    nearest_bin:      [n_mels] int64, the bin nearest to each band's centre
    nearest_band:     [n_bins] int64, the band whose centre is nearest to each bin
    band_of_bin:      [n_bins] int64, the last band whose nearest bin is not above the bin
    advance, advance_per_unit: see `distill.dsp.phase.advances`
    slope:            of the phase along frequency, turns per bin, where the level grows by one neper a hop
    spread:           [n_bins] float32, turns per bin, that bins have of their own where the level is steady
    analysis, synthesis: [overlap, hop_length] float32, the windows, halves swapped
    """

    def __init__(self, spec: SpectrogramSpec, xp: Any) -> None:
        self.spec, self.xp = spec, xp
        bands, win = axis(spec), window(spec)
        self.overlap = win.overlap
        self.slope = per_growth(spec)
        bins = np.arange(spec.n_bins)
        left = np.clip(np.searchsorted(bands.centres, bins, side="right") - 1, 0, spec.n_mels - 2)
        fraction = (bins - bands.centres[left]) / (bands.centres[left + 1] - bands.centres[left])
        self.left, self.right = xp.asarray(left), xp.asarray(left + 1)
        self.fraction = xp.asarray(fraction.astype(np.float32))
        self.filterbank = xp.asarray(np.ascontiguousarray(bands.filterbank.T))
        self.nearest_bin = xp.asarray(bands.nearest_bin)
        self.band_of_bin = xp.asarray(np.searchsorted(bands.nearest_bin, bins, side="right") - 1)
        advance, advance_per_unit = advances(spec)
        self.advance, self.advance_per_unit = xp.asarray(advance), xp.asarray(advance_per_unit)
        self.nearest_band = xp.asarray(bands.nearest_band)
        self.spread = xp.asarray(spread(spec))
        self.analysis, self.synthesis = xp.asarray(win.analysis), xp.asarray(win.synthesis)

    def to_bands(self, values: Array) -> Array:
        """Weighted mean of `values` [frames, n_bins] (a power, say) under each band -> [frames, n_mels]."""
        return self.xp.matmul(values, self.filterbank)

    def to_bins(self, levels: Array) -> Array:
        """Linear interpolation of `levels` [frames, n_mels] (a logarithm) at each bin -> [frames, n_bins]."""
        low = self.xp.take(levels, self.left, axis=1)
        return low + self.fraction * (self.xp.take(levels, self.right, axis=1) - low)


@lru_cache(maxsize=16)
def tables(spec: SpectrogramSpec, xp: Any) -> Tables:
    """The tables of a spec for a namespace, built once."""
    return Tables(spec, xp)
