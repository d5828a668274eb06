"""The ceiling: two channels without bands. Every bin keeps its magnitude and how far its phase turned in a hop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.dsp import istft, stft
from distill.spec import SpectrogramSpec

from .recordings import SAMPLE_RATE

Floats = NDArray[np.float32]


class LinearStft:
    """Magnitude and phase difference of every bin; the first frame's difference is its phase. Nothing is lost."""

    name = "linear bins (ceiling)"

    def __init__(self) -> None:
        self.spec = SpectrogramSpec(sample_rate=SAMPLE_RATE)

    @property
    def numbers_per_second(self) -> float:
        return 2 * self.spec.n_bins * self.spec.frame_rate_hz

    def analyze(self, sound: Floats) -> NDArray[np.float64]:
        """[2, n_bins, frames]."""
        spectrum = stft(sound, self.spec).astype(np.complex128)
        return np.stack([np.abs(spectrum), np.diff(np.angle(spectrum), axis=1, prepend=0)])

    def synthesize(self, spectrogram: NDArray[np.float64], length: int) -> Floats:
        magnitude, turn = spectrogram
        return istft((magnitude * np.exp(1j * np.cumsum(turn, axis=1))).astype(np.complex64), self.spec, length)
