"""Sound to two-channel spectrogram.

Channel 0 is plain: the power spectrum averaged in bands, in dB.

Channel 1. In one hop a component of frequency f (in bins) turns by 2 pi f hop / n_fft. The product
C = X[t] * conj(X[t-1]) has that angle and the weight |X[t]| |X[t-1]|; taking the turn of bin k itself away leaves
the deviation of f from k, unambiguous within half a turn: n_fft / (2 hop) bins. The weighted mean of `k + deviation`
over a band is the frequency of the energy there, which a mean over bins without weights is not, since most bins of
a band hold little but side lobes. (Instantaneous frequency as a target: Engel et al., GANSynth, 2019.)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distill.spec import SpectrogramSpec

from .axis import axis
from .stft import BLOCK, mono, spectra

Floats = NDArray[np.float32]

MAX_DEVIATION = 1.5  # channel 1 is clipped to +- this
_GATE_DB = 10.0  # a band this far above the floor keeps half of its deviation; at the floor nothing is known


def analyze(audio: ArrayLike, spec: SpectrogramSpec) -> Floats:
    """Two-channel spectrogram of `audio` [samples], full scale +-1 -> float32 [2, n_mels, frames].

    Channel 0: band level in dB, 0 for a full-scale sine on a band's centre, never under `spec.floor_db`.
    Channel 1: distance of the instantaneous frequency from the band's centre, in units of `axis(spec).scale`
    bins, within +-1.5; 0 in the first frame. Nothing depends on the recording as a whole, and the memory needed
    beyond the result is that of a few frames.

    Raises InvalidValue if `audio` is not one channel of floating-point samples, NumericError if not finite.
    """
    samples = mono(audio)
    result = np.empty((2, spec.n_mels, spec.frames(len(samples))), np.float32)
    bands, turn = axis(spec), _bin_turn(spec)
    floor = np.float32(10 ** (spec.floor_db / 10))
    gate = np.float32(floor * 10 ** (_GATE_DB / 10))
    to_bins = np.float32(spec.n_fft / (2 * np.pi * spec.hop_length))
    bins = np.arange(spec.n_bins, dtype=np.float32)
    centres, scale = bands.centres.astype(np.float32), bands.scale.astype(np.float32)

    size = min(BLOCK, result.shape[2])
    rows = np.zeros((size + 1, spec.n_bins), np.complex64)  # row 0: the frame before the block
    amplitude = np.zeros((size + 1, spec.n_bins), np.float32)
    nothing = np.float32(1e-3) * floor  # where a frame is silent, the frequency found is the band's centre
    for start, block in spectra(samples, spec):
        m = len(block)
        rows[1 : m + 1] = block
        power = block.real * block.real
        power += block.imag * block.imag
        level = bands.to_bands(power)

        cross = np.conj(rows[:m])
        cross *= block
        cross *= turn
        cross.real += nothing
        np.sqrt(power, out=amplitude[1 : m + 1])
        weight = amplitude[:m] * amplitude[1 : m + 1]
        weight += nothing
        frequency = np.arctan2(cross.imag, cross.real)
        frequency *= to_bins
        frequency += bins
        frequency *= weight
        deviation = bands.to_bands(frequency)
        deviation /= bands.to_bands(weight)
        deviation -= centres
        deviation /= scale
        deviation *= level / (level + gate)

        np.maximum(level, floor, out=level)
        result[0, :, start : start + m] = (np.float32(10) * np.log10(level)).T
        result[1, :, start : start + m] = np.clip(deviation, -MAX_DEVIATION, MAX_DEVIATION).T
        if start == 0:
            result[1, :, 0] = 0
        rows[0], amplitude[0] = rows[m], amplitude[m]
    np.maximum(result[0], np.float32(spec.floor_db), out=result[0])
    return result


@lru_cache(maxsize=16)
def _bin_turn(spec: SpectrogramSpec) -> NDArray[np.complex64]:
    """exp(-i) of the angle by which the centre of each bin turns in one hop, [n_bins]."""
    angle = -2 * np.pi * ((np.arange(spec.n_bins) * spec.hop_length) % spec.n_fft) / spec.n_fft
    turn: NDArray[np.complex64] = np.exp(1j * angle).astype(np.complex64)
    return turn
