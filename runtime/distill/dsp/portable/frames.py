"""Frames to samples and back: overlap-add, its transform, and Griffin-Lim projections.

As in `distill.dsp.stft` and `distill.dsp.projection`, where scale, phase and the sources are explained.
"""

from __future__ import annotations

from typing import Any

from distill.dsp.projection import _FREE_EVERY, _FREE_FROM, _MAX_GAIN, _MOMENTUM, _TINY, MOST
from distill.dsp.stft import window

from .tables import Tables

Array = Any


class HopAdder:
    """Inverse transform, frame by frame: rows of a spectrum in, finished hops of sound out.

    The parts of a hop are added from the oldest frame's to the newest's. Hop 0 begins with frame 0, that is
    overlap / 2 hops *before* the first sample of the recording.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._sums = self._silence(tables.overlap - 1)  # of the hops that wait for further frames
        self.hops = 0  # finished so far

    def __call__(self, spectrum: Array, end: bool = False) -> Array:
        """`spectrum` [m, n_bins], the next frames -> [m, hop_length], and overlap - 1 hops more at the end."""
        t, xp, m = self._tables, self._tables.xp, spectrum.shape[0]
        kept = t.overlap - 1
        hops = xp.concat([self._sums, self._silence(m)], axis=0)
        if m:
            frames = xp.fft.irfft(spectrum, n=t.spec.n_fft, axis=1)
            frames = xp.reshape(frames, (m, t.overlap, t.spec.hop_length)) * t.synthesis
            for part in range(kept, -1, -1):  # hop h has part h - t of frame t: the last part is the oldest's
                hops[part : part + m, :] += frames[:, (part + t.overlap // 2) % t.overlap, :]
        self._sums = hops[m:, :]
        count = m + (kept if end else 0)
        hops = hops[:count, :]
        for row in sorted({*range(min(count, max(0, kept - self.hops))), *range(m, count)}):
            factor = window(t.spec).missing(self.hops + row, self.hops + m if end else None)
            if factor is not None:
                hops[row, :] *= xp.asarray(factor)
        self.hops += count
        return hops

    def _silence(self, hops: int) -> Array:
        xp = self._tables.xp
        return xp.zeros((hops, self._tables.spec.hop_length), dtype=xp.float32)


def transform(hops: Array, frames: int, tables: Tables) -> Array:
    """Transform of `frames` frames of consecutive hops [frames + overlap - 1, hop_length] -> [frames, n_bins]."""
    xp, overlap = tables.xp, tables.overlap
    parts = [hops[part : part + frames, :] for part in range(overlap)]
    swapped = xp.stack(parts[overlap // 2 :] + parts[: overlap // 2], axis=1) * tables.analysis
    return xp.fft.rfft(xp.reshape(swapped, (frames, tables.spec.n_fft)), axis=1)


class Projection:
    """One projection of a stream of frames; delay: overlap - 1 frames."""

    def __init__(self, tables: Tables) -> None:
        xp, spec = tables.xp, tables.spec
        self._tables, self._add = tables, HopAdder(tables)
        self._hops = xp.zeros((0, spec.hop_length), dtype=xp.float32)
        self._magnitude = xp.zeros((0, spec.n_bins), dtype=xp.float32)

    def __call__(self, spectrum: Array, magnitude: Array, end: bool = False) -> tuple[Array, Array]:
        """The next frames of a spectrum and its magnitudes, each [m, n_bins] -> the same, projected, [k, n_bins]."""
        t, xp = self._tables, self._tables.xp
        half, first = t.overlap // 2, self._add.hops
        hops = silenced(self._add(spectrum, end), max(0, half - first), half if end else 0)
        hops = xp.concat([self._hops, hops], axis=0)
        target = xp.concat([self._magnitude, magnitude], axis=0)
        m = max(0, hops.shape[0] - (t.overlap - 1))
        self._hops, self._magnitude = hops[m:, :], target[m:, :]
        target = target[:m, :]
        if m == 0:
            return xp.zeros((0, t.spec.n_bins), dtype=xp.complex64), target
        result = transform(hops, m, t)
        gain = xp.clip(target / amplitude(result, xp), 0.0, float(MOST))
        return result * xp.astype(gain, xp.complex64), target


def refine(spectrum: Array, magnitude: Array, levels: Array, tables: Tables, iterations: int) -> Array:
    """Iterate on a whole file; `spectrum` and `magnitude` [frames, n_bins] -> [frames, n_bins].

    levels: [frames, n_mels] log amplitudes of the bands, nepers
    """
    xp, frames, half = tables.xp, spectrum.shape[0], tables.overlap // 2
    wanted = xp.exp(levels)
    last = spectrum
    for iteration in range(iterations):
        hops = silenced(HopAdder(tables)(spectrum, True), half, half)
        projected = transform(hops, frames, tables)
        momentum = float(_MOMENTUM) if iteration else 0.0
        spectrum, last = projected + momentum * (projected - last), projected
        size = amplitude(spectrum, xp)
        if iteration >= _FREE_FROM and (iteration - _FREE_FROM) % _FREE_EVERY == 0:
            error = wanted / xp.sqrt(tables.to_bands(size * size))
            gain = tables.to_bins(xp.clip(error, 0.0, float(_MAX_GAIN)))
            magnitude = gain * size
        else:
            gain = xp.clip(magnitude / size, 0.0, float(MOST))
        spectrum = spectrum * xp.astype(gain, xp.complex64)
    return spectrum


def silenced(hops: Array, before: int, after: int) -> Array:
    """`hops`, the first and last of them silent: before a recording there is nothing, nor after it."""
    hops[: min(before, hops.shape[0]), :] = 0
    hops[hops.shape[0] - after :, :] = 0
    return hops


def amplitude(spectrum: Array, xp: Any) -> Array:
    """|spectrum|, a trifle above zero."""
    real, imag = xp.real(spectrum), xp.imag(spectrum)
    return xp.sqrt(real * real + imag * imag + float(_TINY))
