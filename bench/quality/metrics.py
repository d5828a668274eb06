"""How far one sound is from another: the measures behind the tables of the documentation. numpy only.

All take mono float arrays of the same rate; the shorter one is taken as followed by zeros. Transforms are those of
`distill.dsp.stft` (|X| = 1 for a full-scale sine), and everything is relative to the reference, so a quiet recording
is judged as strictly as a loud one. Sizes are in samples, meant for 44.1 or 48 kHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.dsp import stft
from distill.spec import SpectrogramSpec

Floats = NDArray[np.float32]

RESOLUTIONS = (512, 1024, 2048, 4096)  # n_fft of the multi-resolution measures; the hop is a quarter
ATTACK_FRAMES = 3
_FLOOR = 1e-4  # of the reference's loudest bin: 80 dB under it
_ENVELOPE_RANGE = 1e-6  # of the loudest frame's power: 60 dB
_NOTHING = 1e-12  # a silent reference


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
    _, errors = _log_spectral_errors(reference, sound)
    return float(errors.mean())


def attack_error(reference: Floats, sound: Floats) -> float:
    """`lsd` of three frames only, dB: those from where the reference's level rises most from a frame to the next.

    Levels reach down to 60 dB under the loudest frame, and silence precedes the first.
    """
    magnitude, errors = _log_spectral_errors(reference, sound)
    power = (magnitude.astype(np.float64) ** 2).sum(axis=1)
    level = 10 * np.log10(power + max(float(power.max()), _NOTHING) * _ENVELOPE_RANGE)
    silence = level.max() + 10 * np.log10(_ENVELOPE_RANGE)
    onset = int(np.argmax(np.diff(level, prepend=silence)))
    return float(errors[onset : onset + ATTACK_FRAMES].mean())


def _log_spectral_errors(reference: Floats, sound: Floats) -> tuple[Floats, Floats]:
    """Magnitudes of the reference [frames, n_bins], and the error of each frame [frames], dB."""
    a, b = (magnitudes(x, 2048, 512) for x in aligned(reference, sound))
    floor = max(float(a.max()) * _FLOOR, _NOTHING)
    difference = 20 * np.log10(np.maximum(a, floor)) - 20 * np.log10(np.maximum(b, floor))
    return a, np.sqrt((difference**2).mean(axis=1))


def spectral_convergence(reference: Floats, sound: Floats) -> float:
    """|A - B| / |A| (Frobenius) of the magnitudes, mean over RESOLUTIONS."""
    values = []
    for n_fft in RESOLUTIONS:
        a, b = (magnitudes(x, n_fft, n_fft // 4) for x in aligned(reference, sound))
        values.append(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), _NOTHING))
    return float(np.mean(values))


def log_magnitude_l1(reference: Floats, sound: Floats) -> float:
    """Mean |ln A - ln B| with the floor of `lsd`, mean over RESOLUTIONS."""
    values = []
    for n_fft in RESOLUTIONS:
        a, b = (magnitudes(x, n_fft, n_fft // 4) for x in aligned(reference, sound))
        floor = max(float(a.max()) * _FLOOR, _NOTHING)
        values.append(np.mean(np.abs(np.log(np.maximum(a, floor)) - np.log(np.maximum(b, floor)))))
    return float(np.mean(values))


def flux_correlation(reference: Floats, sound: Floats) -> float:
    """Correlation of the spectral flux (n_fft 256, hop 64; mean rise of log10 magnitude, 60 dB range): attacks.

    NaN where one of the two has no flux at all.
    """
    a, b = (magnitudes(x, 256, 64) for x in aligned(reference, sound))
    floor = max(1e-3 * float(a.max()), _NOTHING)
    flux_a, flux_b = (np.maximum(0, np.diff(np.log10(m + floor), axis=0)).mean(axis=1) for m in (a, b))
    if flux_a.std() < 1e-12 or flux_b.std() < 1e-12:
        return float("nan")
    return float(np.corrcoef(flux_a, flux_b)[0, 1])


def envelope_error(reference: Floats, sound: Floats) -> float:
    """Mean |difference| of the level of frames (n_fft 256, hop 64) in dB, down to 60 dB under the loudest frame."""
    a, b = ((magnitudes(x, 256, 64).astype(np.float64) ** 2).sum(axis=1) for x in aligned(reference, sound))
    floor = max(float(a.max()) * _ENVELOPE_RANGE, _NOTHING)
    return float(np.mean(np.abs(10 * np.log10(a + floor) - 10 * np.log10(b + floor))))


def level_error_db(reference: Floats, sound: Floats) -> float:
    """RMS level of `sound` over that of `reference`, dB."""
    first, second = (float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (reference, sound))
    return 20 * float(np.log10(max(second, _NOTHING) / max(first, _NOTHING)))


def peak_ratio(reference: Floats, sound: Floats) -> float:
    """Largest |sample| of `sound` over that of `reference`."""
    return float(np.abs(sound).max() / max(float(np.abs(reference).max()), _NOTHING))
