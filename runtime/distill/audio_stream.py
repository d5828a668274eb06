"""Sound on standard output."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .errors import FileError, InvalidValue
from .quantizer import BitDepth, Quantizer
from .wav import UNKNOWN, WIDTH, header, packed

Array = NDArray[np.float32]


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
        self._depth = bit_depth
        self._bytes = 0
        size = UNKNOWN if samples is None else samples * channels * WIDTH[bit_depth]
        self._header = header(size, sample_rate, channels, bit_depth)

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
        self._send(packed(self._pcm(audio.T), self._depth))

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
