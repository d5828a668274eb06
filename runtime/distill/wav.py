"""WAV without libsndfile, whose import takes longer than to write some seconds of sound."""

from __future__ import annotations

import os
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .quantizer import BitDepth

WIDTH = {"16": 2, "24": 3, "float": 4}  # bytes of a sample
UNKNOWN = 0xFFFFFFFF  # what readers of streams take for "until it ends"


def header(size: int, sample_rate: int, channels: int, bit_depth: BitDepth, info: bytes = b"") -> bytes:
    """All that stands before the samples. size: bytes of these, or UNKNOWN; info: chunks between format and samples."""
    width = WIDTH[bit_depth]
    if size + len(info) + 36 >= UNKNOWN:
        size = UNKNOWN
    whole = UNKNOWN if size == UNKNOWN else size + size % 2 + len(info) + 36
    return struct.pack("<4sI4s4sIHHIIHH", b"RIFF", whole, b"WAVE", b"fmt ", 16, 3 if bit_depth == "float" else 1,
                       channels, sample_rate, sample_rate * channels * width, channels * width,
                       8 * width) + info + struct.pack("<4sI", b"data", size)


def packed(samples: NDArray[Any], bit_depth: BitDepth) -> bytes:
    """What `Quantizer` gives, [any] or [any, channels], little-endian; its 24 bits, left-justified in 32, in three."""
    samples = np.ascontiguousarray(samples)
    if sys.byteorder == "big":
        samples = samples.byteswap()
    if bit_depth != "24":
        return samples.tobytes()
    octets = samples.reshape(-1, 1).view(np.uint8)
    three = np.empty((len(octets), 3), np.uint8)
    for place in range(3):  # numpy takes five times as long to copy rows of three
        three[:, place] = octets[:, place + 1]
    return three.tobytes()


class WavFile:
    """A WAV of 16 or 24 bits, the same bytes as libsndfile's, with soundfile's names for what is done to it."""

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, channels: int, bit_depth: BitDepth) -> None:
        self.title = self.comment = ""  # before the first samples
        self._sample_rate, self._channels, self._depth = sample_rate, channels, bit_depth
        self._size = 0
        self._file = open(path, "wb")  # noqa: SIM115

    def write(self, samples: NDArray[Any]) -> None:
        """The next samples, [any] or [any, channels], as `Quantizer` gives them."""
        if not self._file.tell():
            self._file.write(self._header())
        self._size += self._file.write(packed(samples, self._depth))

    def close(self) -> None:
        with self._file as file:
            file.write(bytes(self._size % 2))  # a chunk of odd length is padded
            file.seek(0)
            file.write(self._header())

    def _header(self) -> bytes:
        texts = b"".join(_text(name, text) for name, text in ((b"INAM", self.title), (b"ICMT", self.comment)) if text)
        info = struct.pack("<4sI4s", b"LIST", 4 + len(texts), b"INFO") + texts if texts else b""
        return header(self._size, self._sample_rate, self._channels, self._depth, info)


def _text(name: bytes, text: str) -> bytes:
    """A chunk of an INFO list, with the zero that ends it, of even length."""
    data = text.encode().partition(b"\0")[0] + b"\0"
    data += bytes(len(data) % 2)
    return struct.pack("<4sI", name, len(data)) + data
