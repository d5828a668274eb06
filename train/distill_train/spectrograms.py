"""Spectrograms on disk, so that a corpus need not fit in memory and a second run need not analyse it again.

One .npy file for each (recording's content, pitch, piece, analysis): float16 [frames, 2, n_mels]. Frames come first,
so that a crop is one contiguous part of a memory-mapped file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import distill
from distill.dsp import analyze
from distill.errors import FileError, NotFound
from distill.spec import SpectrogramSpec

from .audio import ORIGINAL, PITCH_RATIOS, change_pitch, resample
from .checkpoint import Checkpoint
from .corpus import Recording
from .files import atomic_write, remove_partials
from .manifest import CorpusFile
from .pieces import Piece, pieces
from .reader import read_mono

CACHE_FOLDER = "cache"
_SEGMENT = 8192  # frames analysed at once: 90 s, some 25 MB of result at 384 bands
_OPEN_MAPS = 128  # memory maps kept open; each costs a file descriptor


class SpectrogramCache:
    """The cache folder of one run, for one spec. `min_frames`: shorter recordings are padded with silence to it."""

    def __init__(self, folder: Path, spec: SpectrogramSpec, min_frames: int) -> None:
        self.folder = folder
        self.spec = spec
        self.min_samples = spec.samples(min_frames)
        identity = f"{sorted(asdict(spec).items())} {self.min_samples} {distill.__version__}"
        self._key = hashlib.sha256(identity.encode()).hexdigest()[:12]
        self._locks: dict[Path, threading.Lock] = {}
        self._guard = threading.Lock()

    def open(self, discard_others: bool) -> None:
        """Make the folder, and clear away what killed processes left, or spectrograms for other specs as well."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_partials(self.folder)
            for path in self.folder.glob("*_*_*.npy") if discard_others else ():
                if not path.stem.endswith(self._key):
                    path.unlink()
        except OSError as error:
            raise FileError(f"cannot write {self.folder}: {error.strerror or error}") from error

    def path(self, sha256: str, pitch: str = ORIGINAL, index: int = 0) -> Path:
        """Where the spectrogram of a piece of a recording at a pitch (a key of PITCH_RATIOS) is or will be."""
        return self.folder / f"{sha256[:24]}_{pitch}_{index}_{self._key}.npy"

    def sources(self, recording: Recording, pitch: str = ORIGINAL) -> list[CachedSpectrogram]:
        """The recording at a pitch as spectrograms to read frames from: one, or several pieces of a long copy."""
        return [CachedSpectrogram(self, piece) for piece in pieces(recording, pitch)]

    def build(self, piece: Piece) -> Path:
        """Analyse the piece if that has not been done yet. Safe from several threads at once."""
        path = self.path(piece.recording.sha256, piece.pitch, piece.index)
        with self._guard:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            if not path.exists():
                self._write(path, piece)
        return path

    def _write(self, path: Path, piece: Piece) -> None:
        first, end = piece.kept_frames(self.spec, self.min_samples)
        header = {"descr": "<f2", "fortran_order": False, "shape": (end - first, 2, self.spec.n_mels)}
        position = 0
        with atomic_write(path) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for part in analyze_in_segments(self._samples(piece), self.spec):
                kept = part[max(0, first - position) : max(0, end - position)]
                stream.write(kept.astype("<f2").tobytes())
                position += len(part)

    def _samples(self, piece: Piece) -> NDArray[np.float32]:
        recording = piece.recording
        low, high = piece.span(self.spec)
        samples, rate = read_mono(recording.path, low, high)
        if rate != recording.sample_rate or (low == 0 and len(samples) != high):
            raise FileError(f"{recording.path} changed while it was being used")
        samples = np.pad(samples, (0, high - low - len(samples)))  # where seeking is not exact, the end may be short
        samples = change_pitch(resample(samples, rate, self.spec.sample_rate), PITCH_RATIOS[piece.pitch])
        return np.pad(samples, (0, max(0, self.min_samples - len(samples))))


@dataclass(frozen=True, slots=True)
class CachedSpectrogram:
    """A piece of a recording. Frames are [frames, 2, n_mels], dB and deviation, rounded to half precision.

    Analysed at the first read, if that has not been done yet.
    """

    cache: SpectrogramCache
    piece: Piece

    @property
    def frames(self) -> int:
        first, end = self.piece.kept_frames(self.cache.spec, self.cache.min_samples)
        return end - first

    @property
    def ready(self) -> bool:
        """Whether it has been analysed."""
        return self.cache.path(self.piece.recording.sha256, self.piece.pitch, self.piece.index).exists()

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self.array()[start:stop], np.float32)

    def array(self) -> NDArray[np.float16]:
        """All of it, memory-mapped."""
        return _map(self.cache.build(self.piece))


def analyze_in_segments(
    samples: NDArray[np.float32], spec: SpectrogramSpec, segment: int = _SEGMENT
) -> Iterator[NDArray[np.float32]]:
    """`analyze(samples)` in parts of at most `segment` frames, each [frames, 2, n_mels].

    A frame sees n_fft / 2 samples to either side of its centre, and the frequency also needs the frame before. Each
    part is therefore analysed with some frames of context, which are then dropped.
    """
    context = spec.n_fft // spec.hop_length + 1  # frames
    total = spec.frames(len(samples))
    for start in range(0, total, segment):
        before = min(start, context)
        stop = min(total, start + segment)
        part = samples[(start - before) * spec.hop_length : (stop + context) * spec.hop_length]
        yield analyze(part, spec)[:, :, before : before + stop - start].transpose(2, 0, 1)


def original_spectrograms(run: Path, checkpoint: Checkpoint) -> Iterator[tuple[CorpusFile, NDArray[np.float32]]]:
    """The corpus as the model saw it: each recording at its own pitch, [2, n_mels, frames], dB and deviation.

    Read from the cache of the run folder, in the order of the checkpoint's manifest, without the padding of short
    recordings. Raises NotFound if the cache is gone.
    """
    spec = checkpoint.spec
    cache = SpectrogramCache(run / CACHE_FOLDER, spec, checkpoint.recipe.crop_frames)
    for file in checkpoint.corpus:
        path = cache.path(file.sha256)
        if not path.exists():
            raise NotFound(f"{path} does not exist; to make it again: distill-train CORPUS -o {run} --resume")
        frames = spec.frames(round(file.seconds * spec.sample_rate))
        yield file, np.asarray(_map(path)[:frames], np.float32).transpose(1, 2, 0)


def missing(sources: Sequence[CachedSpectrogram]) -> list[CachedSpectrogram]:
    """Those still to be analysed."""
    return [source for source in sources if not source.ready]


@lru_cache(maxsize=_OPEN_MAPS)
def _map(path: Path) -> NDArray[np.float16]:
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"cannot read {path} ({error}); delete it and start again") from error
    return array
