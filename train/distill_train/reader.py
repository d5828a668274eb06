"""Reading a sound file block by block, as far as it goes, and noticing when it ends before it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from distill.errors import FileError

BLOCK = 1 << 18  # samples per audio channel

# libsndfile reads a cut-off WAV or AIFF without a word, but notes it in its log: "data : 192000 (should be 115182)".
_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0xFFFF_0000  # a data size from here on means "unknown": written by a recorder that could not go back


class SoundReader:
    """Iterate for blocks [samples, channels] of float32, from sample `start` on (about there in MP3 and Ogg).

    Afterwards `truncated` says whether the end was missing.

    Raises FileError if nothing can be read.
    """

    def __init__(self, path: Path, start: int = 0, block: int = BLOCK) -> None:
        """block: samples read at once; what lies behind a damage in one of them is out of reach."""
        self.path = path
        self._block = block
        self.truncated = False
        self._start = start
        try:
            self._file = soundfile.SoundFile(path)
            if start:
                self._file.seek(start)
        except (OSError, RuntimeError, TypeError) as error:
            raise FileError(f"cannot read {path}: {_reason(error)}") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        samples = self._start
        with self._file as file:
            for declared, present in _CHUNK.findall(file.extra_info):
                self.truncated |= int(present) < int(declared) < _STREAMED
            while True:
                try:
                    block = file.read(self._block, dtype="float32", always_2d=True)
                except (OSError, RuntimeError) as error:
                    if samples == self._start:  # FLAC that was cut short fails here, after some good blocks
                        raise FileError(f"cannot read {self.path}: {_reason(error)}") from error
                    self.truncated = True
                    return
                if not len(block):
                    self.truncated |= samples < file.frames
                    return
                samples += len(block)
                yield block


def read_mono(path: Path, start: int = 0, stop: int | None = None) -> tuple[NDArray[np.float32], int]:
    """A recording, or samples start..stop of it, the mean of its audio channels: float32 [samples], and the rate in Hz.

    Shorter than asked for if the file ends before.
    """
    reader = SoundReader(path, start, BLOCK if stop is None else min(BLOCK, max(1, stop - start)))
    blocks: list[NDArray[np.float32]] = []
    wanted = None if stop is None else stop - start
    for block in reader:
        blocks.append(block[:wanted].mean(axis=1, dtype=np.float32))
        if wanted is not None:
            wanted -= len(blocks[-1])
            if wanted <= 0:
                break
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), reader.sample_rate


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
