"""Spectrograms on disk, so that a corpus need not fit in memory and a second run need not analyse it again.

One .npy file for each (recording's content, pitch, analysis): float16 [frames, 2, n_mels]. Frames come first, so that
a crop is one contiguous piece of a memory-mapped file.
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

from .audio import ORIGINAL, PITCH_RATIOS, change_pitch, repitched_length, resample, resampled_length
from .checkpoint import Checkpoint
from .corpus import Recording
from .files import atomic_write, remove_partials
from .manifest import CorpusFile
from .reader import read_mono

CACHE_FOLDER = "cache"
_SEGMENT = 8192  # frames analysed at once: 90 s, some 25 MB of result at 384 bands
_OPEN_MAPS = 256  # memory maps kept open; each costs a file descriptor


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

    def path(self, sha256: str, pitch: str) -> Path:
        """Where the spectrogram of a recording at a pitch (a key of PITCH_RATIOS) is or will be."""
        return self.folder / f"{sha256[:24]}_{pitch}_{self._key}.npy"

    def frames(self, recording: Recording, pitch: str) -> int:
        """Frames that the spectrogram has or will have."""
        samples = resampled_length(recording.samples, recording.sample_rate, self.spec.sample_rate)
        return self.spec.frames(max(repitched_length(samples, PITCH_RATIOS[pitch]), self.min_samples))

    def build(self, recording: Recording, pitch: str) -> Path:
        """Analyse the recording if that has not been done yet. Safe from several threads at once."""
        path = self.path(recording.sha256, pitch)
        with self._guard:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            if not path.exists():
                self._write(path, self._samples(recording, pitch))
        return path

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

    def source(self, recording: Recording, pitch: str = ORIGINAL) -> CachedSpectrogram:
        """The spectrogram as something to read frames from; analysed at the first read if need be."""
        return CachedSpectrogram(self, recording, pitch)

    def _samples(self, recording: Recording, pitch: str) -> NDArray[np.float32]:
        samples, rate = read_mono(recording.path)
        if len(samples) != recording.samples or rate != recording.sample_rate:
            raise FileError(f"{recording.path} changed while it was being used")
        samples = change_pitch(resample(samples, rate, self.spec.sample_rate), PITCH_RATIOS[pitch])
        return np.pad(samples, (0, max(0, self.min_samples - len(samples))))

    def _write(self, path: Path, samples: NDArray[np.float32]) -> None:
        shape = (self.spec.frames(len(samples)), 2, self.spec.n_mels)
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        with atomic_write(path) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for part in analyze_in_segments(samples, self.spec):
                stream.write(part.astype("<f2").tobytes())


@dataclass(frozen=True, slots=True)
class CachedSpectrogram:
    """A recording at one pitch. Frames are [frames, 2, n_mels], dB and deviation, rounded to half precision."""

    cache: SpectrogramCache
    recording: Recording
    pitch: str

    @property
    def frames(self) -> int:
        return self.cache.frames(self.recording, self.pitch)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self.array()[start:stop], np.float32)

    def array(self) -> NDArray[np.float16]:
        """The whole spectrogram, memory-mapped."""
        return _map(self.cache.build(self.recording, self.pitch))


def analyze_in_segments(
    samples: NDArray[np.float32], spec: SpectrogramSpec, segment: int = _SEGMENT
) -> Iterator[NDArray[np.float32]]:
    """`analyze(samples)` in pieces of at most `segment` frames, each [frames, 2, n_mels].

    A frame sees n_fft / 2 samples to either side of its centre, and the frequency also needs the frame before. Each
    piece is therefore analysed with some frames of context, which are then dropped.
    """
    context = spec.n_fft // spec.hop_length + 1  # frames
    total = spec.frames(len(samples))
    for start in range(0, total, segment):
        before = min(start, context)
        stop = min(total, start + segment)
        piece = samples[(start - before) * spec.hop_length : (stop + context) * spec.hop_length]
        yield analyze(piece, spec)[:, :, before : before + stop - start].transpose(2, 0, 1)


def original_spectrograms(run: Path, checkpoint: Checkpoint) -> Iterator[tuple[CorpusFile, NDArray[np.float32]]]:
    """The corpus as the model saw it: each recording at its own pitch, [2, n_mels, frames], dB and deviation.

    Read from the cache of the run folder, in the order of the checkpoint's manifest, without the padding of short
    recordings. Raises NotFound if the cache is gone.
    """
    spec = checkpoint.spec
    cache = SpectrogramCache(run / CACHE_FOLDER, spec, checkpoint.recipe.crop_frames)
    for file in checkpoint.corpus:
        path = cache.path(file.sha256, ORIGINAL)
        if not path.exists():
            raise NotFound(f"{path} does not exist; the run's cache is needed: distill-train CORPUS -o {run} --resume")
        frames = spec.frames(round(file.seconds * spec.sample_rate))
        yield file, np.asarray(_map(path)[:frames], np.float32).transpose(1, 2, 0)


def missing(
    cache: SpectrogramCache, recordings: Sequence[Recording], pitches: Sequence[str]
) -> list[tuple[Recording, str]]:
    """What is still to be analysed, originals of all recordings first."""
    wanted = [(recording, pitch) for pitch in pitches for recording in recordings]
    return [(recording, pitch) for recording, pitch in wanted if not cache.path(recording.sha256, pitch).exists()]


@lru_cache(maxsize=_OPEN_MAPS)
def _map(path: Path) -> NDArray[np.float16]:
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"cannot read {path} ({error}); delete it and start again") from error
    return array
