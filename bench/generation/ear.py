"""Sound as patches of log-mel spectrogram, and recordings read from a folder. numpy, soundfile and soxr only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distill.errors import NotFound

Floats = NDArray[np.float32]

BANDS, FRAMES, POOL = 64, 8, 2
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"}


@dataclass(frozen=True)
class Sound:
    """Patches [patches, size] of log-mel, dB over the floor; mean flux in dB; mean power."""

    patches: Floats
    flux: float
    power: float


class Ear:
    """The log-mel spectrogram of one rate, over one floor."""

    def __init__(self, sample_rate: int) -> None:
        self.n_fft = 1 << round(np.log2(0.043 * sample_rate))
        self.hop = self.n_fft // 2
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32) * 4 / self.n_fft
        top = min(16_000.0, sample_rate / 2)
        edges = 700 * (10 ** (np.linspace(mel(40.0), mel(top), BANDS + 2) / 2595) - 1)
        bins = np.fft.rfftfreq(self.n_fft, 1 / sample_rate)
        low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        bank = np.maximum(0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
        nearest = np.abs(bins[None] - mid).argmin(axis=1)  # a band narrower than a bin has that bin
        bank[np.arange(BANDS), nearest] = np.maximum(bank[np.arange(BANDS), nearest], 1e-3)
        self._bank = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
        self.floor_db = -np.inf

    def levels(self, audio: Floats) -> Floats:
        """[samples] -> [frames, bands], dB."""
        if len(audio) < self.n_fft:
            audio = np.pad(audio, (0, self.n_fft - len(audio)))
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.n_fft)[::self.hop]
        rows = [np.square(np.abs(np.fft.rfft(frames[i:i + 256] * self._window, axis=1))) @ self._bank.T
                for i in range(0, len(frames), 256)]
        result: Floats = (10 * np.log10(np.maximum(np.concatenate(rows), 1e-14))).astype(np.float32)
        return result

    def hear(self, audio: Floats) -> Sound:
        """What is heard, silence before it included: a recording that begins with its attack has that attack."""
        levels = np.maximum(self.levels(np.pad(audio, (self.n_fft, 0))) - np.float32(self.floor_db), 0)
        flux = np.maximum(np.diff(levels, axis=0), 0).mean() if len(levels) > 1 else 0.0
        padded = np.pad(levels, ((0, max(0, FRAMES - len(levels))), (0, 0)))
        view = np.lib.stride_tricks.sliding_window_view(padded, FRAMES, axis=0)[::FRAMES // 2]  # [n, bands, frames]
        pooled = view.reshape(len(view), BANDS, FRAMES // POOL, POOL).mean(axis=3)
        return Sound(pooled.reshape(len(view), -1), float(flux), float(np.mean(np.square(audio, dtype=np.float64))))


def mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def joined(sounds: list[Sound], seconds: list[float]) -> Sound:
    weights = np.array(seconds) / sum(seconds)
    return Sound(np.concatenate([s.patches for s in sounds]), float(np.dot(weights, [s.flux for s in sounds])),
                 float(np.dot(weights, [s.power for s in sounds])))


def recordings_of(folder: Path, sample_rate: int) -> list[Floats]:
    """The sound files under a folder at one rate, one channel, without the silence at their ends.

    Raises NotFound where there are none.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        if rate != sample_rate:
            mono = soxr.resample(mono, rate, sample_rate, quality="VHQ")
        step = sample_rate // 50
        power = np.add.reduceat(np.square(mono, dtype=np.float64), np.arange(0, len(mono), step))
        loud = np.flatnonzero(power > power.max() * 1e-7)
        if len(loud):
            found.append(mono[loud[0] * step:(loud[-1] + 1) * step])
    if not found:
        raise NotFound(f"{folder}: no recordings")
    return found
