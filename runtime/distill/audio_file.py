"""Sound files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .errors import FileError, InvalidValue
from .quantizer import BitDepth, Quantizer
from .wav import WIDTH, WavFile

Array = NDArray[np.float32]


class Format(Struct, frozen=True):
    """What libsndfile calls it; whether it rounds by hearing; bytes that its length field can count, if limited."""

    name: str
    lossy: str | None = None
    limit: int | None = None


_LIMIT = (1 << 32) - (1 << 16)  # four bytes of length, with room for headers
FORMATS = {".wav": Format("WAV", limit=_LIMIT), ".flac": Format("FLAC"), ".ogg": Format("OGG", "VORBIS"),
           ".mp3": Format("MP3", "MPEG_LAYER_III"), ".aiff": Format("AIFF", limit=_LIMIT),
           ".aif": Format("AIFF", limit=_LIMIT)}
_SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_VORBIS_RATE = 200_000  # Hz; the encoder crashes beyond
_AT_ONCE = 1 << 15  # samples a channel handed to libsndfile; its Vorbis encoder keeps a call's samples on the stack


class FileSink:
    """A sound file, written beside its final place and moved there when it is complete and whole.

    The format follows the suffix (.wav .flac .ogg .mp3 .aiff). PCM of 16 bits is dithered from `seed`; the same
    samples give the same bytes, except in OGG, whose streams have a random number. `samples` is the expected length a
    channel: a WAV beyond 4 GiB becomes RF64. Without `force` an existing file stays as it is, even one that appears
    while this one is made; where the path is a link, the file it leads to is written.

    Raises InvalidValue for a suffix, rate or depth that cannot be, FileError for what cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, channels: int, bit_depth: BitDepth | None, *,
                 samples: int, seed: int, force: bool = False, title: str = "", comment: str = "") -> None:
        self.path = Path(path)
        kind = FORMATS.get(self.path.suffix.lower())
        if kind is None:
            raise InvalidValue(f"{self.path}: the suffix must be one of {' '.join(FORMATS)}")
        _check_rate(kind.name, sample_rate)
        depth: BitDepth = bit_depth or "24"
        if kind.lossy is not None:
            if bit_depth is not None:
                raise InvalidValue(f"bit depth has no meaning for {kind.name}; leave --bit-depth out")
            depth = "float"
        elif depth == "float" and kind.name == "FLAC":
            raise InvalidValue("FLAC holds 16 or 24 bits, not float")
        self._format, self._subtype = kind.name, kind.lossy or _SUBTYPES[depth]
        if kind.limit is not None and samples * channels * WIDTH[depth] > kind.limit:
            if kind.name != "WAV":
                raise InvalidValue(f"{kind.name} holds 4 GiB at most; .wav and .flac have no such limit")
            self._format = "RF64"
        self._depth = depth
        self._plain = self._format == "WAV" and depth != "float"
        self._rate, self._channels, self._force = sample_rate, channels, force
        self._title, self._comment = title, comment
        self._pcm = Quantizer(depth, seed)
        self._target = self._temporary = self.path
        self._written = 0
        self._file: Any = None

    @property
    def clipped(self) -> int:
        """Samples that were beyond full scale."""
        return self._pcm.clipped

    def __enter__(self) -> FileSink:
        self._target = Path(os.path.realpath(self.path))
        if self._target.is_dir():
            raise FileError(f"{self.path} is a folder")
        if self._target.exists():
            if not self._force:
                raise FileError(f"{self.path} exists; --force overwrites it")
            if not self._target.is_file():
                raise FileError(f"{self.path} is no ordinary file")
        self._temporary = self._target.with_name(f".distill-{os.urandom(6).hex()}.part")
        try:
            os.close(os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the umask does the rest
        except OSError as error:
            raise self._cannot(error.strerror) from None
        try:
            self._file = self._opened()
            for field in ("title", "comment"):  # the formats that are offered all have both
                if text := getattr(self, f"_{field}"):
                    text.encode()  # now, while there is no sound to lose
                    setattr(self._file, field, text)
        except BaseException as error:
            self._temporary.unlink(missing_ok=True)
            if isinstance(error, (RuntimeError, TypeError, ValueError, OSError)):
                raise self._cannot(f"as {self._format} at {self._rate} Hz: {error}") from None
            raise
        return self

    def _opened(self) -> Any:
        if self._plain:
            return WavFile(self._temporary, self._rate, self._channels, self._depth)
        import soundfile

        return soundfile.SoundFile(str(self._temporary), "w", self._rate, self._channels, self._subtype,
                                   format=self._format)

    def write(self, audio: Array) -> None:
        """The next samples, [samples] or [channels, samples], full scale +-1."""
        for start in range(0, audio.shape[-1], _AT_ONCE):
            part = self._pcm(audio[..., start:start + _AT_ONCE].T)
            try:
                self._file.write(part)
            except (RuntimeError, OSError, AssertionError) as error:  # soundfile asserts that all was written
                raise self._cannot(getattr(error, "strerror", None) or error) from None
            self._written += len(part)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            try:
                self._file.close()
                if kind is None:
                    self._check_and_move()
            except (RuntimeError, OSError) as failure:
                if kind is None:
                    raise failure if isinstance(failure, FileError) else self._cannot(failure) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def _check_and_move(self) -> None:
        if not self._plain:
            import soundfile

            # Encoders write their last frames when they are closed, and libsndfile does not tell if that failed.
            if (found := soundfile.info(str(self._temporary)).frames) != self._written:
                raise self._cannot(f"only {found} of {self._written} samples are in it")
        if self._subtype == "FLOAT":
            _undate(self._temporary)
        with self._temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if not self._force:
            try:
                os.link(self._temporary, self._target)  # unlike a rename, refuses where something has appeared
                return
            except FileExistsError:
                raise FileError(f"{self.path} exists; --force overwrites it") from None
            except OSError:  # a file system without links
                if self._target.exists():
                    raise FileError(f"{self.path} exists; --force overwrites it") from None
        os.replace(self._temporary, self._target)

    def _cannot(self, why: object) -> FileError:
        try:
            if shutil.disk_usage(self._target.parent).free < 1 << 16:
                why = "no space left on the disk"
        except OSError:
            pass
        return FileError(f"{self.path}: cannot be written ({why})")


def _check_rate(name: str, sample_rate: int) -> None:
    if name == "MP3" and sample_rate not in _MP3_RATES:
        raise InvalidValue(f"MP3 has no sample rate of {sample_rate} Hz; it must be one of "
                           f"{', '.join(map(str, _MP3_RATES))}")
    if name == "OGG" and sample_rate > _VORBIS_RATE:
        raise InvalidValue(f"OGG has no sample rate of {sample_rate} Hz; it must be at most {_VORBIS_RATE}")
    if name == "FLAC" and sample_rate > 65_535 and sample_rate % 10:
        raise InvalidValue(f"FLAC has no sample rate of {sample_rate} Hz; above 65535 it must be a multiple of 10")


def _undate(path: Path) -> None:
    """Float files hold the time of day beside their peak (chunk PEAK: version, time, ...); set it to zero."""
    with path.open("rb+") as file:
        order = ">" if file.read(4) == b"FORM" else "<"
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack(f"{order}4sI", header)
            if name == b"PEAK":
                file.seek(4, os.SEEK_CUR)
                file.write(bytes(4))
                return
            if name in (b"data", b"SSND"):
                return
            file.seek(size + size % 2, os.SEEK_CUR)
