"""Mel power alone, with a phase made up by Griffin-Lim: what a model without a second channel has to do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.transforms import GriffinLim

from .public_scheme import HOP, N_FFT, mel_scale
from .recordings import SAMPLE_RATE

Floats = NDArray[np.float32]


class MagnitudeOnly:
    """torchaudio's MelScale, InverseMelScale and GriffinLim (32 iterations, momentum .99, its defaults)."""

    def __init__(self, n_mels: int) -> None:
        self.n_mels = n_mels
        self._window = torch.hann_window(N_FFT)
        self._filters, self._inverse = mel_scale(n_mels)
        self._griffin_lim = GriffinLim(N_FFT, hop_length=HOP)

    @property
    def name(self) -> str:
        return f"Griffin-Lim, {self.n_mels} bands"

    @property
    def numbers_per_second(self) -> float:
        return self.n_mels * SAMPLE_RATE / HOP

    def analyze(self, sound: Floats) -> Tensor:
        """Mel power, [n_mels, frames]."""
        spectrum = torch.stft(torch.from_numpy(sound), N_FFT, HOP, window=self._window, return_complex=True)
        power: Tensor = self._filters(spectrum.abs().square())
        return power

    def synthesize(self, spectrogram: Tensor, length: int) -> Floats:
        with torch.random.fork_rng(devices=[]):  # it starts from random phase
            torch.manual_seed(0)
            sound = self._griffin_lim(self._inverse(spectrogram)).numpy()
        return np.pad(sound, (0, max(0, length - len(sound))))[:length]
