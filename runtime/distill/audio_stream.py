"""Sound on standard output."""

from __future__ import annotations

import struct
import sys
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .audio_file import WIDTH
from .errors import FileError, InvalidValue
from .quantizer import BitDepth, Quantizer

Array = NDArray[np.float32]

_UNKNOWN = 0xFFFFFFFF  # what readers of streams take for "until it ends"


class StreamSink:
    """A WAV, or, with raw, samples alone: float32, or int16 at bit depth 16; channels interleaved, little-endian.

    samples: the length a channel, None where it is not known; it is in the header. Raises FileError where the stream
    takes no more, BrokenPipeError where nobody reads it.
    """

    def __init__(self, stream: BinaryIO, sample_rate: int, channels: int, bit_depth: BitDepth, *, raw: bool,
                 seed: int, samples: int | None = None) -> None:
        if bit_depth == "24" and raw:
            raise InvalidValue("--raw is float32, or int16 with --bit-depth 16; 24 is not offered")
        self._stream, self._raw = stream, raw
        self._pcm = Quantizer(bit_depth, seed)
        self._three_bytes = bit_depth == "24"
        self._bytes = 0
        width = WIDTH[bit_depth]
        size = _UNKNOWN if samples is None else samples * channels * width
        if size + 36 >= _UNKNOWN:
            size = _UNKNOWN
        whole = _UNKNOWN if size == _UNKNOWN else size + size % 2 + 36
        self._header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", whole, b"WAVE", b"fmt ", 16,
                                   3 if bit_depth == "float" else 1, channels, sample_rate,
                                   sample_rate * channels * width, channels * width, 8 * width, b"data", size)

    @property
    def clipped(self) -> int:
        """Samples that were beyond full scale."""
        return self._pcm.clipped

    def __enter__(self) -> StreamSink:
        if not self._raw:
            self._send(self._header)
            self._bytes = 0
        return self

    def write(self, audio: Array) -> None:
        """The next samples, [samples] or [channels, samples], full scale +-1."""
        samples = np.ascontiguousarray(self._pcm(audio.T))
        if sys.byteorder == "big":
            samples = samples.byteswap()
        if self._three_bytes:  # the quantizer left-justifies 24 bits in 32
            samples = np.ascontiguousarray(samples.reshape(-1, 1).view(np.uint8)[:, 1:])
        self._send(samples.tobytes())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None and not self._raw and self._bytes % 2:
            self._send(b"\0")  # a chunk of odd length is padded

    def _send(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: closed
            why = getattr(error, "strerror", None) or error
            raise FileError(f"standard output cannot be written ({why})") from None
        self._bytes += len(data)
