"""The one place for the numbers that tie analysis, training, export and synthesis together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InvalidValue


@dataclass(frozen=True, slots=True)
class SpectrogramSpec:
    """What a two-channel spectrogram `[2, n_mels, frames]` means. Passed whole, never as loose numbers.

    Channel 0 is the level of each band in dB, where a full-scale sine at a band's centre gives 0 dB; it never
    falls below `floor_db`. Channel 1 is the instantaneous frequency, as the energy-weighted distance from the
    band's centre in units of (one bin + the band spacing), within +-1.5.

    The window is a periodic Hann of `n_fft` samples, frames are centred (frame t is centred on sample
    t * hop_length, zeros outside the recording), and a recording of n samples has 1 + ceil(n / hop_length) frames.

    Raises InvalidValue for a field that is not allowed, and names it.
    """

    sample_rate: int = 48_000  # Hz
    n_fft: int = 2048  # samples; also the window's length
    hop_length: int = 512  # samples; n_fft / hop_length is 4 or 8
    n_mels: int = 384  # bands of the warped axis
    floor_db: float = -140.0  # dB; levels at or under it are silence

    def __post_init__(self) -> None:
        _whole("sample_rate", self.sample_rate, 4_000, 384_000)
        _whole("n_fft", self.n_fft, 128, 16_384)
        if self.n_fft & (self.n_fft - 1):
            raise InvalidValue(f"n_fft is {self.n_fft}; it must be a power of two")
        _whole("hop_length", self.hop_length, 16, 4_096)
        if self.n_fft not in (4 * self.hop_length, 8 * self.hop_length):
            raise InvalidValue(f"hop_length is {self.hop_length}; for n_fft {self.n_fft} it must be "
                               f"{self.n_fft // 4} or {self.n_fft // 8}")
        _whole("n_mels", self.n_mels, 16, self.n_bins)
        if not (isinstance(self.floor_db, (int, float)) and math.isfinite(self.floor_db)
                and -200 <= self.floor_db <= -40):
            raise InvalidValue(f"floor_db is {self.floor_db!r}; it must be a number from -200 to -40")

    @property
    def n_bins(self) -> int:
        """FFT bins from 0 Hz to Nyquist, both included."""
        return self.n_fft // 2 + 1

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def frames(self, samples: int) -> int:
        """Frames of a recording of `samples` samples; 0 for an empty one."""
        return 0 if samples == 0 else 1 + -(-samples // self.hop_length)

    def samples(self, frames: int) -> int:
        """Samples that `frames` frames stand for: (frames - 1) * hop_length."""
        return max(0, frames - 1) * self.hop_length


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidValue(f"{name} is {value!r}; it must be a whole number from {low} to {high}")
