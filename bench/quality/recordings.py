"""The sounds of the bench: a bounded sample of each category's recordings, at their own level."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distill.errors import FileError, InvalidValue, NotFound
from distill_train.corpus import AUDIO_SUFFIXES

Floats = NDArray[np.float32]

SAMPLE_RATE = 48_000  # Hz, of everything that is measured here
_SHORTEST = SAMPLE_RATE // 4  # shorter recordings are followed by silence up to here
_SILENT = 1e-5  # peak of a recording that is not worth measuring


@dataclass(frozen=True)
class Recording:
    """The first seconds of a file, mono, at SAMPLE_RATE."""

    path: Path
    sound: Floats

    @property
    def seconds(self) -> float:
        return len(self.sound) / SAMPLE_RATE


def parse_categories(words: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """["tonal=harp", "tonal=piano", "drums=kit"] -> {"tonal": (harp, piano), "drums": (kit,)}.

    Raises InvalidValue for a word of another form, NotFound for a folder that is not there.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not folder or not name.replace("-", "").replace("_", "").isalnum():
            raise InvalidValue(f"{word!r} is no category; write NAME=FOLDER, such as tonal=corpus/demo")
        if not Path(folder).is_dir():
            raise NotFound(f"{folder} is no folder; {name}= must name a folder of recordings")
        found[name] = (*found.get(name, ()), Path(folder))
    return found


def files_of(folders: Sequence[Path]) -> list[Path]:
    """Every sound file under the folders, sorted."""
    return sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of them (or all), evenly spread over the order they are in."""
    if len(paths) <= count:
        return list(paths)
    return [paths[i] for i in np.linspace(0, len(paths) - 1, count).round().astype(int)]


def load(path: Path, seconds: float) -> Recording | None:
    """The first `seconds` of a file; None if that is silent. Raises FileError if it cannot be read."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            data = file.read(round(seconds * rate), dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise FileError(f"{path}: cannot be read ({error})") from None
    sound = soxr.resample(data.mean(axis=1), rate, SAMPLE_RATE).astype(np.float32)
    if not len(sound) or np.abs(sound).max() < _SILENT:
        return None
    return Recording(path, np.pad(sound, (0, max(0, _SHORTEST - len(sound)))))


def sample(folders: Sequence[Path], files: int, seconds: float) -> list[Recording]:
    """Up to `files` recordings of the folders, the first `seconds` of each. Raises InvalidValue if there are none."""
    chosen = [found for path in spread(files_of(folders), files) if (found := load(path, seconds)) is not None]
    if not chosen:
        raise InvalidValue(f"{', '.join(map(str, folders))}: no recordings to measure")
    return chosen


def by_content(categories: Mapping[str, Sequence[Path]]) -> dict[str, tuple[str, Path]]:
    """SHA-256 of each file's bytes -> (category, path): what a checkpoint's manifest is matched with."""
    return {
        hashlib.sha256(path.read_bytes()).hexdigest(): (name, path)
        for name, folders in categories.items() for path in files_of(folders)
    }
