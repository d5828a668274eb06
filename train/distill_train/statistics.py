"""What 'normalised' means for one model: the mean and spread of each spectrogram channel over the training files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue, NumericError


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per spectrogram channel: 0 is level (dB), 1 is frequency deviation. normalised = (value - mean) / std."""

    mean: tuple[float, float]
    std: tuple[float, float]

    def __post_init__(self) -> None:
        if len(self.mean) != 2 or len(self.std) != 2:
            raise InvalidValue("statistics need two means and two standard deviations, one per spectrogram channel")
        if not np.isfinite([*self.mean, *self.std]).all() or min(self.std) <= 0:
            raise NumericError(f"statistics must be finite with a positive spread, not mean {self.mean} std {self.std}")

    def normalise(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        """[..., 2, n_mels] in dB and deviation -> the same shape in normalised units."""
        mean, std = self._arrays()
        return ((frames.astype(np.float32) - mean) / std).astype(np.float32, copy=False)

    def denormalise(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `normalise`."""
        mean, std = self._arrays()
        return (frames * std + mean).astype(np.float32, copy=False)

    def _arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.array(self.mean, np.float32)[:, None], np.array(self.std, np.float32)[:, None]


MIN_STD = (1.0, 0.01)  # dB and deviation: a corpus of one steady sound must not blow up its own noise


def measure(spectrograms: Iterable[NDArray[np.floating]], block: int = 4096) -> Statistics:
    """Over all frames of all `spectrograms` ([frames, 2, n_mels] each), summed in float64, block by block.

    The sums are taken about the first frame's mean, so that a mean of -100 dB does not eat the digits of the variance.
    """
    count = 0
    total = np.zeros(2)
    squares = np.zeros(2)
    origin: NDArray[np.float64] | None = None
    for spectrogram in spectrograms:
        for start in range(0, len(spectrogram), block):
            part = np.asarray(spectrogram[start : start + block], np.float64)
            if origin is None:
                origin = part.mean((0, 2))
            part = part - origin[:, None]
            count += part.shape[0] * part.shape[2]
            total += part.sum((0, 2))
            squares += (part * part).sum((0, 2))
    if origin is None:
        raise InvalidValue("there are no frames to take statistics of")
    mean = total / count
    std = np.maximum(np.sqrt(np.maximum(squares / count - mean * mean, 0)), MIN_STD)
    mean = mean + origin
    return Statistics((float(mean[0]), float(mean[1])), (float(std[0]), float(std[1])))
