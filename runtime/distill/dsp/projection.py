"""Griffin-Lim projections: nearest real sound, then its phase with the wanted magnitudes.

`Projection` is one such step as a pipeline stage: frames in, frames out `overlap - 1` later, exactly what the step
would give on the whole file. Chained, n of them are n iterations, streaming (Griffin & Lim, 1984).

`refine` iterates on a whole file with momentum (Perraudin, Balazs & Sondergaard, 2013), and every few steps lets
the magnitudes go: only the *bands* are then made to match, since what lies inside a band was interpolated, not
known, and the projections find better values for it.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

from .axis import axis
from .fft import quick_rfft
from .stft import HopAdder, Window, window

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

# Of a projection: what nearly vanished in it has a phase that the last bit decides, and the sign of bin 0 at that.
MOST = np.float32(100)
_TINY = np.float32(1e-26)  # power; keeps 0 / 0 away
_TINY_AMPLITUDE = np.sqrt(_TINY)
_BLOCK = 32  # frames
_MOMENTUM = np.float32(0.99)
_FREE_FROM, _FREE_EVERY = 2, 4  # iterations
_MAX_GAIN = np.float32(1e3)


class Projection:
    """One projection of a stream of frames; delay: overlap - 1 frames."""

    def __init__(self, spec: SpectrogramSpec) -> None:
        self._spec, self._window, self._add = spec, window(spec), HopAdder(spec)
        self._hops = np.zeros((0, spec.hop_length), np.float32)
        self._magnitude = np.zeros((0, spec.n_bins), np.float32)

    def twin(self) -> Projection:
        """Another one that goes on from here."""
        twin = copy(self)
        twin._add = copy(self._add)
        return twin

    def __call__(self, spectrum: Spectrum, magnitude: Floats, end: bool = False) -> tuple[Spectrum, Floats]:
        """The next frames of a spectrum and its magnitudes, each [m, n_bins] -> the same, projected, [k, n_bins]."""
        half = self._window.overlap // 2
        first = self._add.hops
        hops = self._add(spectrum, end)
        if first < half:  # before the recording, and after it, there is silence
            hops[: half - first] = 0
        if end:
            hops[-half:] = 0
        hops = np.concatenate([self._hops, hops])
        target = np.concatenate([self._magnitude, magnitude])
        m = max(0, len(hops) - (self._window.overlap - 1))
        self._hops, self._magnitude = hops[m:], target[m:]
        target = target[:m]
        if m == 0:
            return np.empty((0, self._spec.n_bins), np.complex64), target
        result = transform(hops, self._window, np.empty((m, self._spec.n_fft), np.float32))
        gain = _amplitude(result)
        np.divide(target, gain, out=gain)
        np.minimum(gain, MOST, out=gain)
        result *= gain
        return result, target


def transform(hops: Floats, table: Window, frames: Floats) -> Spectrum:
    """Transform of the frames of consecutive hops [m + overlap - 1, hop_length] -> [m, n_bins].

    frames: [m, n_fft], overwritten
    """
    result = np.empty((len(frames), table.n_fft // 2 + 1), np.complex64)
    quick_rfft(table.windowed(hops, table.quick_analysis, frames), result)
    return result


def _amplitude(spectrum: Spectrum) -> Floats:
    """|spectrum|, a trifle above zero."""
    result: Floats = np.abs(spectrum)
    result += _TINY_AMPLITUDE
    return result


def refine(spectrum: Spectrum, magnitude: Floats, levels: Floats, spec: SpectrogramSpec, iterations: int) -> Spectrum:
    """Iterate on a whole file; `spectrum` and `magnitude` [frames, n_bins] are overwritten -> [frames, n_bins].

    levels: [frames, n_mels] log amplitudes of the bands, nepers
    """
    bands, table, frames = axis(spec), window(spec), len(spectrum)
    band_amplitude = np.exp(levels)
    half = table.overlap // 2
    last = np.empty_like(spectrum)
    buffer = np.empty((_BLOCK, spec.n_fft), np.float32)
    for iteration in range(iterations):
        adder = HopAdder(spec)
        hops = np.concatenate(
            [adder(spectrum[i : i + _BLOCK], i + _BLOCK >= frames) for i in range(0, frames, _BLOCK)]
        )
        hops[:half] = 0
        hops[-half:] = 0
        free = iteration >= _FREE_FROM and (iteration - _FREE_FROM) % _FREE_EVERY == 0
        for i in range(0, frames, _BLOCK):
            m = min(_BLOCK, frames - i)
            projected = transform(hops[i:], table, buffer[:m])
            block = spectrum[i : i + m]
            if iteration == 0:
                block[:] = projected
            else:
                np.subtract(projected, last[i : i + m], out=block)
                block *= _MOMENTUM
                block += projected
            last[i : i + m] = projected
            gain = _amplitude(block)
            if free:
                error = bands.to_bands(gain * gain)
                np.sqrt(error, out=error)
                np.divide(band_amplitude[i : i + m], error, out=error)
                np.minimum(error, _MAX_GAIN, out=error)
                wanted = bands.to_bins(error)
                np.multiply(wanted, gain, out=magnitude[i : i + m])
                gain = wanted
            else:
                np.divide(magnitude[i : i + m], gain, out=gain)
                np.minimum(gain, MOST, out=gain)
            block *= gain
    return spectrum
