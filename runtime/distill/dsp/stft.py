"""Short-time Fourier transform and its least-squares inverse: float32, in blocks, numpy only.

Scale and phase. The periodic Hann window is scaled by 4 / n_fft, so a full-scale sine gives |X| = 1; the phase is
that at the window's *centre*, so a steady sine has the same phase in all bins of its main lobe. Centring costs
nothing: swapping the halves of the windowed frame moves its centre to index 0, which multiplies bin k by (-1)^k.

Layout. Inside, frames are rows: [frames, n_bins] and [frames, n_fft]. The public functions turn that round.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

from .fft import irfft, rfft

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

BLOCK = 64  # frames: their buffers stay in the second-level cache
_LONG_BLOCK = 256  # where nobody waits for the first: a twentieth less time


class Window:
    """The window's tables for one spec, halves swapped and cut into hops: [overlap, hop_length]."""

    def __init__(self, spec: SpectrogramSpec) -> None:
        n_fft, self.hop, self.n_fft = spec.n_fft, spec.hop_length, spec.n_fft
        self.overlap = n_fft // spec.hop_length
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        squares = (hann * hann).reshape(self.overlap, self.hop)
        # Hann squared at a hop of n_fft / 4 or n_fft / 8 adds up to a constant (1.5 or 3): the frames' overlap is
        # undone inside the synthesis window, and only hops that some frames are missing from need a further factor.
        total = squares.sum(axis=0).mean()
        self.analysis = self._swapped(hann * 4 / n_fft)
        self.quick_analysis = self._swapped(hann * 4)  # for `quick_rfft`
        self.synthesis = self._swapped(hann * n_fft / 4 / total)
        cumulated = np.concatenate([np.zeros((1, self.hop)), np.cumsum(squares, axis=0)])
        self._total, self._cumulated = total, cumulated

    def _swapped(self, window: NDArray[np.float64]) -> Floats:
        result: Floats = np.roll(window, self.n_fft // 2).astype(np.float32).reshape(self.overlap, self.hop)
        return result

    def windowed(self, hops: Floats, window: Floats, out: Floats) -> Floats:
        """The frames of consecutive hops [m + overlap - 1, hop_length] times a window of ours, into `out` [m, n_fft].

        A view of the hops has each frame's second half first. (numpy's as_strided would take ten microseconds for it,
        and streams ask once a frame.)
        """
        half = self.n_fft // 2
        shape = (len(out), 2, half)
        step, size = hops.strides
        halves = np.ndarray(shape, np.float32, hops, half * size, (step, -half * size, size))
        np.multiply(halves, window.reshape(2, half), out=out.reshape(shape))
        return out

    def missing(self, hop: int, frames: int | None = None) -> Floats | None:
        """Factor [hop_length] that makes up for frames absent from hop `hop` (hop 0 begins with frame 0).

        Hop h is covered by part h - t of each frame t, 0 <= h - t < overlap; `frames` is their number, None while
        it is not known. None when nothing is missing.
        """
        first = 0 if frames is None else max(0, hop - frames + 1)
        last = min(self.overlap - 1, hop)
        if (first, last) == (0, self.overlap - 1):
            return None
        covered = self._cumulated[last + 1] - self._cumulated[first]
        factor: Floats = (self._total / np.maximum(covered, 1e-3)).astype(np.float32)
        return factor


@lru_cache(maxsize=16)
def window(spec: SpectrogramSpec) -> Window:
    """The window of a spec, built once."""
    return Window(spec)


def mono(audio: ArrayLike, name: str = "audio") -> Floats:
    """`audio` as float32 [samples], or an error that says what was wrong with it."""
    samples = np.asarray(audio)
    if samples.ndim != 1:
        raise InvalidValue(f"{name} has shape {samples.shape}; it must be one channel, [samples]")
    if samples.dtype.kind != "f":
        raise InvalidValue(f"{name} is of type {samples.dtype}; it must be floating point, full scale +-1")
    result = samples.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        raise NumericError(f"{name} holds NaN or infinite samples")
    return result


def spectra(samples: Floats, spec: SpectrogramSpec, block: int = BLOCK) -> Iterator[tuple[int, Spectrum]]:
    """Blocks of the transform: (first frame, [m, n_bins]), m <= block. The array is reused: copy what you keep."""
    table, total = window(spec), spec.frames(len(samples))
    overlap, hop, half = table.overlap, table.hop, table.overlap // 2
    size = min(block, total)
    hops = np.empty((size + overlap - 1, hop), np.float32)
    frames = np.empty((size, spec.n_fft), np.float32)
    result = np.empty((size, spec.n_bins), np.complex64)
    for start in range(0, total, block):
        m = min(block, total - start)
        first = (start - half) * hop  # sample at hops[0]; frame t reaches from hop t - overlap / 2
        low, high = max(0, first), min(len(samples), first + (m + overlap - 1) * hop)
        line = hops.reshape(-1)
        line[: low - first] = 0
        line[low - first : high - first] = samples[low:high]
        line[high - first :] = 0
        rfft(table.windowed(hops, table.analysis, frames[:m]), result[:m])
        yield start, result[:m]


class HopAdder:
    """Inverse transform, frame by frame: rows of a spectrum in, finished hops of sound out.

    The parts of a hop are added from the oldest frame's to the newest's, so the result does not depend on how the
    rows were grouped. Hop 0 begins with frame 0, that is overlap / 2 hops *before* the first sample of the recording.
    """

    def __init__(self, spec: SpectrogramSpec) -> None:
        self._spec, self._window = spec, window(spec)
        overlap, hop = self._window.overlap, self._window.hop
        self._sums = np.zeros((overlap - 1, hop), np.float32)  # of the hops that wait for further frames
        self.hops = 0  # finished so far

    def __call__(self, spectrum: Spectrum, end: bool = False) -> Floats:
        """`spectrum` [m, n_bins], the next frames -> [m, hop_length], and overlap - 1 hops more at the end."""
        table, m = self._window, len(spectrum)
        overlap, half = table.overlap, table.overlap // 2
        kept = overlap - 1
        hops = np.empty((m + kept, table.hop), np.float32)
        hops[:kept] = self._sums
        hops[kept:] = 0
        if m:
            frames = np.empty((m, overlap, table.hop), np.float32)
            irfft(spectrum, frames.reshape(m, table.n_fft))
            frames *= table.synthesis
            if m < half:  # frame after frame, the oldest first
                for row, frame in enumerate(frames):
                    hops[row : row + half] += frame[half:]
                    hops[row + half : row + overlap] += frame[:half]
            else:  # hop h has part h - t of frame t: the last part is the oldest's
                for part in range(overlap - 1, -1, -1):
                    hops[part : part + m] += frames[:, (part + half) % overlap]
        self._sums = hops[m:]
        count = m + (kept if end else 0)
        frames_done = self.hops + m if end else None
        if end or self.hops < kept:
            edges = {*range(min(count, max(0, kept - self.hops))), *range(m, count)}
            for row in sorted(edges):
                factor = table.missing(self.hops + row, frames_done)
                if factor is not None:
                    hops[row] *= factor
        self.hops += count
        return hops[:count]


def stft(audio: ArrayLike, spec: SpectrogramSpec) -> Spectrum:
    """Transform of `audio` [samples], full scale +-1 -> complex64 [n_bins, frames], |X| = 1 for a full-scale sine.

    Frame t is centred on sample t * hop_length, with zeros outside the recording, and there are
    `spec.frames(samples)` of them. The phase is that at the frame's centre.
    """
    samples = mono(audio)
    result = np.empty((spec.frames(len(samples)), spec.n_bins), np.complex64)
    for start, block in spectra(samples, spec):
        result[start : start + len(block)] = block
    return result.T


def istft(spectrum: ArrayLike, spec: SpectrogramSpec, length: int | None = None) -> Floats:
    """The sound whose transform is nearest to `spectrum` [n_bins, frames] in the least-squares sense -> [samples].

    (frames - 1) * hop_length samples, or `length`: then cut, or followed by zeros.
    """
    columns = np.asarray(spectrum)
    if columns.ndim != 2 or columns.shape[0] != spec.n_bins:
        raise InvalidValue(f"spectrum has shape {columns.shape}; it must be [{spec.n_bins}, frames]")
    adder, frames = HopAdder(spec), columns.shape[1]
    half, hop = spec.n_fft // spec.hop_length // 2, spec.hop_length
    wanted = check_length(length, spec.samples(frames))
    result = np.zeros(wanted, np.float32)
    for start in range(0, frames, _LONG_BLOCK):
        end = start + _LONG_BLOCK >= frames
        first = (adder.hops - half) * hop
        rows = np.ascontiguousarray(columns[:, start : start + _LONG_BLOCK].T, np.complex64)
        if not np.isfinite(rows.view(np.float32)).all():  # of complex numbers it would take four times as long
            raise NumericError("spectrum holds NaN or infinite numbers")
        line = adder(rows, end).reshape(-1)
        place(result, first, line, spec.samples(frames))
    return result


def place(result: Floats, first: int, line: Floats, total: int) -> None:
    """Write `line` to `result` from sample `first` on, leaving out what lies before 0 or from `total` on."""
    low, high = max(0, first), min(len(result), total, first + len(line))
    if high > low:
        result[low:high] = line[low - first : high - first]


def check_length(length: int | None, default: int) -> int:
    """`length` in samples if it is a count, `default` if it is None."""
    if length is None:
        return default
    if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 0:
        raise InvalidValue(f"length is {length!r}; it must be a whole number of samples, 0 or more")
    return int(length)
