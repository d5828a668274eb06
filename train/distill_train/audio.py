"""Recordings as samples at the model's rate, and copies of them at another pitch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
import torchaudio.functional
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Playing faster by a ratio raises the pitch by 12 log2(ratio) semitones. Small whole numbers keep the filter bank of
# the resampler small: 24/23 is .74 semitones, 12/11 is 1.51.
PITCH_RATIOS: dict[str, Fraction] = {
    "original": Fraction(1),
    "down-1.5": Fraction(11, 12),
    "down-0.75": Fraction(23, 24),
    "up-0.75": Fraction(24, 23),
    "up-1.5": Fraction(12, 11),
}
ORIGINAL = "original"

_MAX_TERM = 1024  # of the resampling ratio: 44056 -> 48000 becomes a neighbour that is off by under .01 cent


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
    if ratio == 1 or not len(samples):
        return samples
    result = torchaudio.functional.resample(
        torch.from_numpy(samples), ratio.denominator, ratio.numerator,
        lowpass_filter_width=64, rolloff=0.9476, resampling_method="sinc_interp_kaiser", beta=14.77,
    )
    array: Samples = result.numpy()
    return array
