"""The two-channel mel scheme that is in public use, for comparison; written from its description.

Channel 0 is ln(1 + mel power). Channel 1 is the difference of phase from frame to frame, wrapped to +-pi, averaged over
each mel band. On the way back the differences are summed over time *in the mel domain*, and magnitude and phase are
taken to the linear bins by non-negative least squares (torchaudio's InverseMelScale).

That way back is not what the two channels deserve, so `mended=True` keeps the channels and takes the best way back that
we found for them:
* The root is taken before the inverse of a filter bank that had added up power. Mended: after it.
* Least squares spreads a sum over its bins, yet the phase of a band is an average, and what is negative is lost.
  Mended: each bin turns as the band does whose centre is nearest.
* Phase counts from the window's start there, where neighbouring bins of a steady sound are half a turn apart; bins that
  turn together from the same start cancel, which is where most of the level goes. Mended: the half turn is put in.
What stays is the averaging of wrapped differences itself, over bins that turn at different speeds.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.transforms import InverseMelScale, MelScale

from .recordings import SAMPLE_RATE

Floats = NDArray[np.float32]

N_FFT, HOP = 2048, 512


class PublicScheme:
    """[2, n_mels, frames], as above."""

    def __init__(self, n_mels: int, mended: bool = False) -> None:
        self.n_mels, self.mended = n_mels, mended
        self._window = torch.hann_window(N_FFT)
        self._filters, self._inverse = mel_scale(n_mels)
        bank = self._filters.fb.T  # [n_mels, n_bins]
        total = bank.sum(1)
        self._average = bank / total.clamp_min(1e-8)[:, None]
        bins = torch.arange(bank.shape[1], dtype=torch.float32)
        centres = torch.where(total > 0, self._average @ bins, math.inf)  # an empty band is nobody's nearest
        self._nearest = (bins[:, None] - centres).abs().argmin(1)
        self._half_turns = math.pi * (bins % 2)[:, None]

    @property
    def name(self) -> str:
        return f"public scheme{', mended' if self.mended else ''}, {self.n_mels} bands"

    @property
    def numbers_per_second(self) -> float:
        return 2 * self.n_mels * SAMPLE_RATE / HOP

    def analyze(self, sound: Floats) -> Tensor:
        spectrum = torch.stft(torch.from_numpy(sound), N_FFT, HOP, window=self._window, return_complex=True)
        power = self._filters(spectrum.abs().square())
        phase = spectrum.angle()
        turn = torch.diff(phase, dim=1, prepend=phase[:, :1])
        turn = turn - 2 * math.pi * torch.round(turn / (2 * math.pi))
        return torch.stack([torch.log1p(power), self._average @ turn])

    def synthesize(self, spectrogram: Tensor, length: int) -> Floats:
        power, phase = torch.expm1(spectrogram[0]).clamp_min(0), torch.cumsum(spectrogram[1], dim=1)
        if self.mended:
            magnitude, turned = self._inverse(power).sqrt(), phase[self._nearest] + self._half_turns
        else:
            magnitude, turned = self._inverse(power.sqrt()), self._inverse(phase)
        sound = torch.istft(torch.polar(magnitude, turned), N_FFT, HOP, window=self._window, length=length)
        result: Floats = sound.numpy()
        return result


def mel_scale(n_mels: int) -> tuple[MelScale, InverseMelScale]:
    """torchaudio's mel filter bank and its non-negative least-squares inverse.

    With many bands some lie between two bins and are empty. That is what a mel axis does, so its warning is not passed
    on; but the inverse must then be one for matrices without full rank (gelsd).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        bins = N_FFT // 2 + 1
        return (MelScale(n_mels, SAMPLE_RATE, n_stft=bins),
                InverseMelScale(bins, n_mels, SAMPLE_RATE, driver="gelsd"))
