"""Recordings as samples at the model's rate, and copies of them at another pitch."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
import torchaudio.functional
from numpy.typing import NDArray

Samples = NDArray[np.float32]

ORIGINAL = "original"

# Playing faster by a ratio raises the pitch by 12 log2(ratio) semitones. Small whole numbers keep the filter bank of
# the resampler small, and are within two hundredths of a semitone: semitones -> ratio.
_UPWARD = {
    "0.25": Fraction(70, 69), "0.5": Fraction(35, 34), "0.75": Fraction(24, 23),
    "1": Fraction(18, 17), "1.25": Fraction(43, 40), "1.5": Fraction(12, 11),
}
PITCH_RATIOS: dict[str, Fraction] = {
    ORIGINAL: Fraction(1),
    **{f"up-{semitones}": ratio for semitones, ratio in _UPWARD.items()},
    **{f"down-{semitones}": 1 / ratio for semitones, ratio in _UPWARD.items()},
}

_WIDTH, _ROLLOFF, _BETA = 64, 0.9476, 14.77  # zero crossings, cutoff / Nyquist, Kaiser window: over 100 dB down
_BLOCK = 1 << 20  # samples resampled at once
_MAX_TERM = 4096  # of the resampling ratio; an odd rate like 47999 Hz becomes a neighbour, .2 cents off at worst


def resample(samples: Samples, old_rate: int, new_rate: int) -> Samples:
    """Windowed-sinc resampling, [samples] -> [ceil(samples * new_rate / old_rate)]."""
    return _resample(samples, Fraction(new_rate, old_rate).limit_denominator(_MAX_TERM))


def resampled_length(samples: int, old_rate: int, new_rate: int) -> int:
    """Samples that `resample` returns for `samples` samples."""
    return _length(samples, Fraction(new_rate, old_rate).limit_denominator(_MAX_TERM))


def repitched_length(samples: int, ratio: Fraction) -> int:
    """Samples that `change_pitch` returns for `samples` samples."""
    return _length(samples, 1 / ratio)


def change_pitch(samples: Samples, ratio: Fraction) -> Samples:
    """Play `ratio` times as fast: higher and shorter for a ratio above one."""
    return _resample(samples, 1 / ratio)


def _length(samples: int, ratio: Fraction) -> int:
    return -(-samples * ratio.numerator // ratio.denominator)


def _resample(samples: Samples, ratio: Fraction) -> Samples:
    """In blocks, so that an hour needs no more memory than its samples.

    Every `denominator` samples in give `numerator` samples out, so blocks begin at multiples of that. The filter
    reaches `_WIDTH` zero crossings of its cutoff to either side; blocks overlap by more than that.
    """
    if ratio == 1 or not len(samples):
        return samples
    old, new = ratio.denominator, ratio.numerator
    block = max(1, _BLOCK // old) * old
    context = (1 + math.ceil(_WIDTH * max(1, old / new) / _ROLLOFF / old)) * old
    result = np.empty(_length(len(samples), ratio), np.float32)
    for start in range(0, len(samples), block):
        low = max(0, start - context)
        # torchaudio counts its output in float32 and can come out a sample short: silence behind it makes up for that.
        given = np.pad(samples[low : start + block + context], (0, old))
        part = torchaudio.functional.resample(
            torch.from_numpy(given), old, new,
            lowpass_filter_width=_WIDTH, rolloff=_ROLLOFF, resampling_method="sinc_interp_kaiser", beta=_BETA,
        ).numpy()
        at, skipped = start // old * new, (start - low) // old * new
        kept = min(block // old * new, len(result) - at)
        result[at : at + kept] = part[skipped : skipped + kept]
    return result
