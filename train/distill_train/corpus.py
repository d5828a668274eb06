"""A folder of recordings: what is in it, what can be used, and what was left out and why. No torch here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from distill.errors import FileError, InvalidValue, NotFound

from .reader import SoundReader

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .w64 .rf64 .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .caf .au".split()
)
_OTHER_AUDIO = frozenset(".m4a .aac .mp4 .wma .webm .ape .wv .mpc .m4b .alac".split())
_SILENCE = 10 ** (-90 / 20)  # a peak under this is dither at best
_FULL_SCALE = 0.9999
_CANCELLED = 0.1  # the mix to mono keeps less than this share of the channels' RMS


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be used. Levels are of the mean of its audio channels; dBFS, full scale = 0."""

    path: Path
    name: str  # relative to the corpus folder, with forward slashes
    sample_rate: int  # Hz
    channels: int
    samples: int  # per audio channel
    sha256: str  # of the file's bytes
    peak_db: float
    rms_db: float
    peak_sample: int  # where the peak is
    clipped: bool
    truncated: bool
    cancelled: bool  # its audio channels largely cancel out when mixed to mono

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What `scan` found. `recordings` are sorted by name."""

    folder: Path
    recordings: tuple[Recording, ...]
    left_out: tuple[LeftOut, ...] = field(default=())

    @property
    def seconds(self) -> float:
        return sum(recording.seconds for recording in self.recordings)


def scan(
    folder: Path, exclude: Path | None = None, tick: Callable[[int, int], None] = lambda done, total: None
) -> Corpus:
    """Look at every file under `folder` (or at one file). `exclude` is a folder to stay out of: the run's own.

    `tick(done, total)` is called after each file, and may raise to stop. Raises NotFound if there is no such path,
    InvalidValue if nothing in it can be used.
    """
    if not folder.exists():
        raise NotFound(f"{folder} does not exist; give a folder of recordings or one recording")
    root = folder if folder.is_dir() else folder.parent
    files, left_out = _walk(folder, exclude) if folder.is_dir() else ([folder], [])
    recordings: list[Recording] = []
    seen: dict[str, str] = {}  # hash of bytes or of samples -> name
    for index, path in enumerate(files):
        name = path.relative_to(root).as_posix()
        found = _examine(path, name, seen)
        if isinstance(found, Recording):
            recordings.append(found)
        else:
            left_out.append(found)
        tick(index + 1, len(files))
    left_out.sort(key=lambda item: item.name)
    if not recordings:
        raise InvalidValue(_nothing(folder, left_out))
    return Corpus(folder, tuple(recordings), tuple(left_out))


def _walk(folder: Path, exclude: Path | None) -> tuple[list[Path], list[LeftOut]]:
    """Audio files in order of name, and what was passed by. Linked folders are followed, each folder once."""
    files: list[Path] = []
    left_out: list[LeftOut] = []
    excluded = exclude.resolve() if exclude else None
    visited = {folder.resolve()}

    def refuse(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix() if error.filename else "?"
        if name == ".":
            raise FileError(f"cannot read {folder}: {error.strerror}") from error
        left_out.append(LeftOut(name + "/", f"unreadable: {error.strerror}"))

    for here, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        parent = Path(here)
        keep: list[str] = []
        for name in sorted(folders):
            child = parent / name
            real = child.resolve()
            if real == excluded or real in visited:
                continue
            if name.startswith(".") or name == "__MACOSX":
                left_out.append(LeftOut(child.relative_to(folder).as_posix() + "/", "hidden folder"))
                continue
            visited.add(real)
            keep.append(name)
        folders[:] = keep
        for name in names:
            path = parent / name
            reason = _passed_by(path)
            if reason:
                left_out.append(LeftOut(path.relative_to(folder).as_posix(), reason))
            else:
                files.append(path)
    files.sort(key=lambda path: path.relative_to(folder).as_posix())
    return files, left_out


def _passed_by(path: Path) -> str:
    """Why a file is not even opened; empty if it is to be."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return "hidden"
    if suffix in _OTHER_AUDIO:
        return f"{suffix} cannot be read; convert it to WAV or FLAC"
    if suffix not in AUDIO_SUFFIXES:
        return "not audio"
    if not path.is_file():
        return "unreadable: not a file" if path.exists() else "unreadable: broken link"
    return ""


def _examine(path: Path, name: str, seen: dict[str, str]) -> Recording | LeftOut:
    """Read a file once, from end to end."""
    try:
        if path.stat().st_size == 0:
            return LeftOut(name, "empty file")
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        if content in seen:
            return LeftOut(name, f"same as {seen[content]}")
        seen[content] = name
        return _measure(path, name, content, seen)
    except FileError as error:
        return LeftOut(name, f"unreadable: {error.args[0].split(': ', 1)[-1]}")
    except OSError as error:
        return LeftOut(name, f"unreadable: {error.strerror or error}")


def _measure(path: Path, name: str, content: str, seen: dict[str, str]) -> Recording | LeftOut:
    reader = SoundReader(path)
    fingerprint = hashlib.sha256(f"{reader.sample_rate} {reader.channels}".encode())
    samples = peak_sample = 0
    peak = square = channel_square = channel_peak = 0.0
    clipped = False
    for block in reader:
        if not np.isfinite(block).all():
            return LeftOut(name, "non-finite samples (NaN or infinity)")
        fingerprint.update(block.tobytes())
        mono = block.mean(axis=1, dtype=np.float32)
        loudest = int(np.abs(mono).argmax())
        if abs(float(mono[loudest])) > peak:
            peak, peak_sample = abs(float(mono[loudest])), samples + loudest
        square += float(np.square(mono, dtype=np.float64).sum())
        channel_square += float(np.square(block, dtype=np.float64).sum()) / reader.channels
        channel_peak = max(channel_peak, float(np.abs(block).max()))
        clipped = clipped or _has_flat_top(block)
        samples += len(block)
    if samples == 0:
        return LeftOut(name, "empty: no samples")
    if channel_peak < _SILENCE:
        return LeftOut(name, "silent")
    cancelled = square < _CANCELLED**2 * channel_square
    if peak < _SILENCE:
        return LeftOut(name, "its channels cancel out when mixed to mono")
    same = seen.setdefault(fingerprint.hexdigest(), name)
    if same != name:
        return LeftOut(name, f"same sound as {same}")
    return Recording(
        path=path, name=name, sample_rate=reader.sample_rate, channels=reader.channels, samples=samples,
        sha256=content, peak_db=_db(peak), rms_db=_db((square / samples) ** 0.5), peak_sample=peak_sample,
        clipped=clipped, truncated=reader.truncated, cancelled=cancelled,
    )


def _has_flat_top(block: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bool:
    """Three samples in a row at full scale: converters do that when they clip, music does not."""
    high = np.abs(block) >= _FULL_SCALE
    return bool((high[2:] & high[1:-1] & high[:-2]).any())


def _db(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-10)))


def _nothing(folder: Path, left_out: list[LeftOut]) -> str:
    """One line that says why there is nothing to train on."""
    if not left_out:
        return f"{folder} is empty; it must hold recordings (wav, flac, ogg, mp3, aiff)"
    reasons: dict[str, int] = {}
    for item in left_out:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    most = sorted(reasons.items(), key=lambda pair: -pair[1])[:4]
    listed = ", ".join(f"{count} x {reason}" for reason, count in most)
    return f"{folder} has no usable recording; left out: {listed}"

