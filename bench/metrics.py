"""How far one sound is from another: the measures behind the tables of the documentation. numpy only.

All take mono float arrays of the same rate; the shorter one is taken as followed by zeros. Transforms are those of
`distill.stft` (|X| = 1 for a full-scale sine), and everything is relative to the reference, so a quiet recording
is judged as strictly as a loud one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.dsp import stft
from distill.spec import SpectrogramSpec

Floats = NDArray[np.float32]

_FLOOR = 1e-4  # of the reference's loudest bin: 80 dB under it


def magnitudes(sound: Floats, n_fft: int, hop_length: int) -> Floats:
    """[frames, n_bins] magnitudes."""
    spec = SpectrogramSpec(n_fft=n_fft, hop_length=hop_length, n_mels=16)
    result: Floats = np.ascontiguousarray(np.abs(stft(sound, spec)).T)
    return result


def aligned(reference: Floats, sound: Floats) -> tuple[Floats, Floats]:
    """Both as float32, padded to the same length."""
    length = max(len(reference), len(sound))
    first, second = (np.pad(np.asarray(x, np.float32), (0, length - len(x))) for x in (reference, sound))
    return first, second


def lsd(reference: Floats, sound: Floats) -> float:
    """Log-spectral distance, dB: per frame the RMS over bins of the difference in level, then the mean over frames.

    n_fft 2048, hop 512; levels under -80 dB of the reference's loudest bin count as -80 dB.
    """
    a, b = (magnitudes(x, 2048, 512) for x in aligned(reference, sound))
    floor = max(float(a.max()) * _FLOOR, 1e-12)
    difference = 20 * np.log10(np.maximum(a, floor)) - 20 * np.log10(np.maximum(b, floor))
    return float(np.sqrt((difference**2).mean(axis=1)).mean())


def spectral_convergence(reference: Floats, sound: Floats) -> float:
    """|A - B| / |A| (Frobenius) of the magnitudes, mean over n_fft 512, 1024, 2048, 4096 with a hop of a quarter."""
    values = []
    for n_fft in (512, 1024, 2048, 4096):
        a, b = (magnitudes(x, n_fft, n_fft // 4) for x in aligned(reference, sound))
        values.append(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-12))
    return float(np.mean(values))


def log_magnitude_l1(reference: Floats, sound: Floats) -> float:
    """Mean |ln A - ln B| with the floor of `lsd`, mean over the resolutions of `spectral_convergence`."""
    values = []
    for n_fft in (512, 1024, 2048, 4096):
        a, b = (magnitudes(x, n_fft, n_fft // 4) for x in aligned(reference, sound))
        floor = max(float(a.max()) * _FLOOR, 1e-12)
        values.append(np.mean(np.abs(np.log(np.maximum(a, floor)) - np.log(np.maximum(b, floor)))))
    return float(np.mean(values))


def flux_correlation(reference: Floats, sound: Floats) -> float:
    """Correlation of the spectral flux (n_fft 256, hop 64; mean rise of log10 magnitude, 60 dB range): attacks."""
    a, b = (magnitudes(x, 256, 64) for x in aligned(reference, sound))
    floor = max(1e-3 * float(a.max()), 1e-12)
    flux_a, flux_b = (np.maximum(0, np.diff(np.log10(m + floor), axis=0)).mean(axis=1) for m in (a, b))
    if flux_a.std() < 1e-12 or flux_b.std() < 1e-12:
        return float("nan")
    return float(np.corrcoef(flux_a, flux_b)[0, 1])


def level_error_db(reference: Floats, sound: Floats) -> float:
    """RMS level of `sound` over that of `reference`, dB."""
    first, second = (float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (reference, sound))
    return 20 * float(np.log10(max(second, 1e-12) / max(first, 1e-12)))


def peak_ratio(reference: Floats, sound: Floats) -> float:
    """Largest |sample| of `sound` over that of `reference`."""
    return float(np.abs(sound).max() / max(float(np.abs(reference).max()), 1e-12))
