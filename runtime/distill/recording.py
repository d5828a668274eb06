"""Sound in: any recording that libsndfile reads, whole and sane, in blocks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FileError, InvalidValue, NotFound

Array = NDArray[np.float32]

MOST_CHANNELS = 8
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # Hz
_BLOCK = 1 << 16  # samples a channel

# libsndfile reads a WAV or AIFF that was cut short without a word, but notes it: "data : 192000 (should be 115182)".
_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0xFFFF_0000  # sizes from here on mean "unknown": written by a program that could not go back


class Recording:
    """A sound file. sample_rate: Hz. samples: a channel, as its header says.

    Raises NotFound where there is no such file; FileError for what is no sound, holds none, or ends before its header
    says; InvalidValue for more channels or another rate than can be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise NotFound(f"{self.path}: no such file")
        if not self.path.is_file():
            raise FileError(f"{self.path}: not a file")
        with self._open() as file:
            self.sample_rate: int = file.samplerate
            self.channels: int = file.channels
            self.samples: int = file.frames
            for present, declared in ((int(b), int(a)) for a, b in _CHUNK.findall(file.extra_info)):
                if present < declared < _STREAMED:
                    raise FileError(f"{self.path}: is cut short; {present} of {declared} bytes of sound are there")
        if self.samples < 1:
            raise FileError(f"{self.path}: holds no sound")
        if self.channels > MOST_CHANNELS:
            raise InvalidValue(f"{self.path}: has {self.channels} channels; at most {MOST_CHANNELS} can be used")
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise InvalidValue(f"{self.path}: has a sample rate of {self.sample_rate} Hz; it must be from "
                               f"{LOWEST_RATE} to {HIGHEST_RATE}")

    def __iter__(self) -> Iterator[Array]:
        """Blocks [channels, samples], full scale +-1. Raises FileError where the file cannot be read to its end, or
        holds samples that are not finite."""
        done = 0
        with self._open() as file:
            while True:
                try:
                    block: Array = file.read(_BLOCK, dtype="float32", always_2d=True)
                except (OSError, RuntimeError) as error:
                    raise FileError(f"{self.path}: cannot be read to its end ({_reason(error)})") from None
                if len(block) == 0:
                    break
                if not np.isfinite(block).all():
                    raise FileError(f"{self.path}: holds samples that are not finite (NaN or infinite)")
                done += len(block)
                yield np.ascontiguousarray(block.T)
        if done < self.samples:
            raise FileError(f"{self.path}: is cut short; {done} of {self.samples} samples are there")

    def mono(self) -> Iterator[Array]:
        """Blocks [samples], the mean of the channels."""
        for block in self:
            yield block.mean(axis=0, dtype=np.float32)

    def _open(self) -> Any:
        import soundfile

        try:
            return soundfile.SoundFile(str(self.path))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise FileError(f"{self.path}: not a sound file that can be read ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
