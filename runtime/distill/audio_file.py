"""Sound out: files that appear whole or not at all, and streams on standard output.

Both sinks are context managers; `write` takes [samples] or [channels, samples], and `clipped` counts the samples that
were beyond the range of PCM.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import FileError, InvalidValue

Array = NDArray[np.float32]
BitDepth = Literal["16", "24", "float"]

_PCM = {"16": ("PCM_16", np.int16, 15), "24": ("PCM_24", np.int32, 31)}
_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3", ".aiff": "AIFF", ".aif": "AIFF"}
_LOSSY = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
_WAV_LIMIT = (1 << 32) - 4096  # bytes of samples; RF64 beyond


class FileSink:
    """A sound file, written beside its final place and renamed when complete.

    The format follows the suffix (.wav .flac .ogg .mp3 .aiff). PCM is dithered (16 bit) from `seed`, so the same
    samples give the same bytes. `samples` is the expected length; WAV beyond 4 GiB becomes RF64.
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, channels: int, bit_depth: BitDepth | None, *,
                 samples: int, seed: int, force: bool = False, title: str = "", comment: str = "") -> None:
        self.path = Path(path)
        name = _FORMATS.get(self.path.suffix.lower())
        if name is None:
            raise InvalidValue(f"{self.path}: the suffix must be one of {' '.join(_FORMATS)}")
        if name in _LOSSY:
            if bit_depth is not None:
                raise InvalidValue(f"bit depth has no meaning for {name}; leave --bit-depth out")
            depth, self._subtype = "float", _LOSSY[name]
        else:
            depth = bit_depth or "24"
            if depth == "float" and name == "FLAC":
                raise InvalidValue("FLAC holds 16 or 24 bits, not float")
            self._subtype = "FLOAT" if depth == "float" else _PCM[depth][0]
        if name == "WAV" and samples * channels * (2 if depth == "16" else 4) > _WAV_LIMIT:
            name = "RF64"
        self._format, self._rate, self._channels, self._force = name, sample_rate, channels, force
        self._title, self._comment = title, comment
        self._pcm = Quantizer(depth, seed)
        self._temporary = Path()
        self._file: Any = None

    @property
    def clipped(self) -> int:
        return self._pcm.clipped

    def __enter__(self) -> FileSink:
        import soundfile

        if self.path.is_dir():
            raise FileError(f"{self.path} is a folder")
        if self.path.exists() and not self._force:
            raise FileError(f"{self.path} exists; --force overwrites it")
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=self.path.suffix,
                                            dir=self.path.parent)
            os.close(handle)
            self._temporary = Path(name)
        except OSError as error:
            raise FileError(f"{self.path}: cannot be written ({error.strerror})") from None
        try:
            self._file = soundfile.SoundFile(name, "w", self._rate, self._channels, self._subtype,
                                             format=self._format)
            if self._title and self._format not in ("MP3", "RF64"):
                self._file.title, self._file.comment = self._title, self._comment
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            self._temporary.unlink(missing_ok=True)
            raise FileError(f"{self.path}: cannot be written as {self._format} at {self._rate} Hz ({error})") from None
        return self

    def write(self, audio: Array) -> None:
        try:
            self._file.write(self._pcm(audio.T))
        except (RuntimeError, OSError) as error:
            raise FileError(f"{self.path}: cannot be written ({error})") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._file.close()
            if kind is None:
                with self._temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                self._temporary.chmod(0o666 & ~_umask())
                os.replace(self._temporary, self.path)
        except (RuntimeError, OSError) as failure:
            raise FileError(f"{self.path}: cannot be written ({failure})") from None
        finally:
            self._temporary.unlink(missing_ok=True)


class StreamSink:
    """Standard output: a WAV of unknown length, or, with raw, samples alone (float32, or int16 at bit depth 16)."""

    def __init__(self, stream: BinaryIO, sample_rate: int, channels: int, bit_depth: BitDepth, *, raw: bool,
                 seed: int) -> None:
        if bit_depth == "24" and raw:
            raise InvalidValue("--raw is float32, or int16 with --bit-depth 16; 24 is not offered")
        self._stream, self._raw = stream, raw
        self._pcm = Quantizer(bit_depth, seed)
        self._three_bytes = bit_depth == "24"
        width = {"16": 2, "24": 3, "float": 4}[bit_depth]
        self._header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16,
                                   3 if bit_depth == "float" else 1, channels, sample_rate,
                                   sample_rate * channels * width, channels * width, 8 * width, b"data", 0xFFFFFFFF)

    @property
    def clipped(self) -> int:
        return self._pcm.clipped

    def __enter__(self) -> StreamSink:
        if not self._raw:
            self._stream.write(self._header)
        return self

    def write(self, audio: Array) -> None:
        samples = np.ascontiguousarray(self._pcm(audio.T))
        if samples.dtype.byteorder == ">" or sys.byteorder == "big":
            samples = samples.byteswap()
        if self._three_bytes:  # the quantizer left-justifies 24 bits in 32
            samples = np.ascontiguousarray(samples.reshape(-1, 1).view(np.uint8)[:, 1:])
        self._stream.write(samples.tobytes())
        self._stream.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self._stream.flush()


class Quantizer:
    """float32 samples -> what a file of this bit depth holds, counting what had to be clipped.

    16 bits get triangular dither of one step either way (the sum of two uniform draws), which makes the error
    independent of the signal (Lipshitz, Wannamaker and Vanderkooy, 1992); at 24 bits it would lie under any
    converter's own noise, so rounding is enough. 24 bits come left-justified in int32.
    """

    def __init__(self, bit_depth: str, seed: int) -> None:
        self._depth = bit_depth
        self._rng = np.random.default_rng([seed, 0xD17])
        self.clipped = 0

    def __call__(self, audio: Array) -> NDArray[Any]:
        if self._depth == "float":
            return np.asarray(audio, np.float32)
        _, kind, bits = _PCM[self._depth]
        significant = int(self._depth) - 1
        scaled = np.asarray(audio, np.float64) * (1 << significant)
        top = (1 << significant) - 1
        self.clipped += int(np.count_nonzero((scaled > top + 1) | (scaled < -top - 1)))
        if self._depth == "16":
            scaled += self._rng.random(scaled.shape) - self._rng.random(scaled.shape)
        whole = np.clip(np.rint(scaled), -top - 1, top).astype(np.int64) << (bits - significant)
        return whole.astype(kind)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
