"""The warped band axis: one band a bin at low frequency, logarithmic above.

Centres, in FFT bins. Up to a corner bin `c` the axis is linear, `centre[i] = i`; above it, exponential:
`centre[i] = c * exp((i - c) * s)`, with `s` such that the last band sits on the last bin. The corner is chosen so
that the spacing is continuous there (`c * s = 1`), which gives `c * (1 + ln(last_bin / c)) = n_mels - 1`; the left
side grows with `c`, so bisection finds it.

From bins to bands, power is averaged under triangles that reach to the neighbouring centres and are at least one
bin wide on each side; every row sums to one, so a flat spectrum stays flat. From bands to bins, the *logarithm* is
interpolated linearly at each bin. A triangle covers few bins, so the product is done in dense slices, or, where few
frames come at a time, as sums over the weights that are not zero.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_FRAMES = 8  # of one sum over weights: their products stay in the first-level cache
_ROWS = 16  # bands of one dense slice: more would skip fewer zeros, and make BLAS wake its threads for so little


class Axis:
    """Bands against FFT bins for one spec. Get it from `axis(spec)`, which keeps it.

    centres:     [n_mels] float64, bins
    linear:      the last band (and bin) of the linear part: band i is bin i up to here
    nearest_bin: [n_mels] int64, the bin nearest to each centre
    nearest_band: [n_bins] int64, the band whose centre is nearest to each bin
    scale:       [n_mels] float64, bins that one unit of spectrogram channel 1 stands for
    """

    def __init__(self, spec: SpectrogramSpec) -> None:
        self.n_mels, self.n_bins = spec.n_mels, spec.n_bins
        self.centres, self.linear = band_centres(spec.n_mels, spec.n_bins)
        self.nearest_bin = np.rint(self.centres).astype(np.int64)
        self.nearest_band = ((self.centres[1:] + self.centres[:-1]) / 2).searchsorted(np.arange(spec.n_bins))
        self.scale = 1.0 + np.maximum(1.0, np.gradient(self.centres))

        above = np.arange(self.linear + 1, spec.n_bins)
        left = np.clip(np.searchsorted(self.centres, above) - 1, 0, spec.n_mels - 2)
        self._left = left
        self._fraction = ((above - self.centres[left]) / (self.centres[left + 1] - self.centres[left])).astype(
            np.float32
        )

        self._triangles = band, place, weight = _triangles(self.centres, spec.n_bins)
        start = int(band.searchsorted(self.linear))
        self._bin, self._weight = place[start:], weight[start:]
        self._first = band[start:].searchsorted(np.arange(self.linear, spec.n_mels))

    @cached_property
    def filterbank(self) -> Floats:
        """[n_mels, n_bins], rows sum to one: the weights of all bands."""
        band, place, weight = self._triangles
        result = np.zeros((self.n_mels, self.n_bins), np.float32)
        result[band, place] = weight
        return result

    @cached_property
    def _slices(self) -> list[tuple[slice, slice, Floats]]:
        """The same in dense slices: bands, bins, and weights [bins, bands]."""
        slices = []
        for start in range(0, self.n_mels, _ROWS):
            stop = min(start + _ROWS, self.n_mels)
            part = slice(*self._triangles[0].searchsorted([start, stop]))
            band, place, weight = (column[part] for column in self._triangles)
            first = int(place.min())
            dense = np.zeros((int(place.max()) + 1 - first, stop - start), np.float32)
            dense[place - first, band - start] = weight
            slices.append((slice(start, stop), slice(first, first + len(dense)), dense))
        return slices

    def to_bands(self, values: Floats, out: Floats | None = None) -> Floats:
        """Weighted mean of `values` [frames, n_bins] (a power, say) under each band -> [frames, n_mels]."""
        if out is None:
            out = np.empty((len(values), self.n_mels), np.float32)
        for bands, bins, weights in self._slices:
            np.matmul(values[:, bins], weights, out=out[:, bands])
        return out

    def to_bands_by_frame(self, values: Floats) -> Floats:
        """The same, and each frame's bits do not depend on the frames beside it, as those of a product may."""
        out = np.empty((len(values), self.n_mels), np.float32)
        out[:, : self.linear] = values[:, : self.linear]  # these bands are bins
        for start in range(0, len(values), _FRAMES):
            part = values[start : start + _FRAMES].take(self._bin, axis=1)
            part *= self._weight
            np.add.reduceat(part, self._first, axis=1, out=out[start : start + _FRAMES, self.linear :])
        return out

    def to_bins(self, levels: Floats, out: Floats | None = None) -> Floats:
        """Linear interpolation of `levels` [frames, n_mels] (a logarithm) at each bin -> [frames, n_bins]."""
        if out is None:
            out = np.empty((len(levels), self.n_bins), np.float32)
        out[:, : self.linear + 1] = levels[:, : self.linear + 1]
        if self.linear + 1 < self.n_bins:
            step = levels[:, 1:] - levels[:, :-1]
            between = step.take(self._left, axis=1, mode="clip")
            between *= self._fraction
            np.add(between, levels.take(self._left, axis=1, mode="clip"), out=out[:, self.linear + 1 :])
        return out


@lru_cache(maxsize=16)
def axis(spec: SpectrogramSpec) -> Axis:
    """The axis of a spec, built once."""
    return Axis(spec)


def band_centres(n_mels: int, n_bins: int) -> tuple[NDArray[np.float64], int]:
    """Centres [n_mels] in bins, rising from 0 to n_bins - 1, and the last band of the linear part."""
    index = np.arange(n_mels, dtype=np.float64)
    last_bin = n_bins - 1
    if n_mels == n_bins:
        return index, last_bin
    low, high = 2.0, float(last_bin)
    for _ in range(60):
        middle = (low + high) / 2
        if middle * (1 + math.log(last_bin / middle)) < n_mels - 1:
            low = middle
        else:
            high = middle
    corner = math.floor(low)
    stretch = math.log(last_bin / corner) / (n_mels - 1 - corner)
    centres = np.where(index <= corner, index, corner * np.exp((index - corner) * stretch))
    centres[-1] = last_bin
    return centres, corner


def _triangles(centres: NDArray[np.float64], n_bins: int) -> tuple[Indices, Indices, Floats]:
    """Row-normalised triangles between neighbouring centres: band, bin and weight of what is not zero, by band."""
    spacing = np.diff(centres)
    left = np.maximum(1.0, np.concatenate([spacing[:1], spacing]))
    right = np.maximum(1.0, np.concatenate([spacing, spacing[-1:]]))
    first = np.maximum(0, np.ceil(centres - left)).astype(np.int64)
    bins = first + np.arange(2 + int((left + right).max()))[:, None]  # of each band, all that it may reach
    distance = bins - centres
    weights = np.maximum(0.0, 1.0 - np.where(distance <= 0, -distance / left, distance / right))
    weights[bins >= n_bins] = 0
    normalised = (weights / weights.sum(axis=0)).astype(np.float32)
    band, row = normalised.T.nonzero()
    return band, bins[row, band], normalised[row, band]
