"""From a corpus and the user's wishes to the facts of a new run: its spec, its split, its pitch copies, its budget."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

from distill.errors import FileError, InvalidValue
from distill.spec import SpectrogramSpec

from .audio import ORIGINAL, PITCH_RATIOS
from .config import Recipe, frames_per_latent
from .corpus import Corpus, Recording
from .floor import DEPTH_DB, choose_floor_db, peak_band_level_db
from .manifest import CorpusFile
from .options import (
    DEFAULT_MINUTES,
    DEFAULT_N_MELS,
    DEFAULT_SEED,
    MOST_BANDS,
    STEADY_N_MELS,
    STROKES_N_MELS,
    Options,
)
from .schedule import Budget
from .spectrograms import CachedSpectrogram
from .split import held_out
from .window import Kind, WindowChoice

# Copies at other pitches teach a small corpus the notes between its notes. A large one has them already, and its
# copies would take minutes to analyse and gigabytes to keep: (hours of corpus up to here, copies).
_COPIES_BY_HOURS = ((1 / 6, 12), (0.5, 4), (2.0, 2))
_COPIES: dict[int, tuple[str, ...]] = {
    0: (),
    2: ("down-0.75", "up-0.75"),
    4: ("down-0.75", "up-0.75", "down-1.5", "up-1.5"),
    12: tuple(pitch for pitch in PITCH_RATIOS if pitch != ORIGINAL),
}
_BANDS: dict[Kind, int] = {
    "strokes": STROKES_N_MELS,
    "partials": DEFAULT_N_MELS,
    "steady sounds": STEADY_N_MELS,
}


def wished_spec(options: Options, choice: WindowChoice | None = None) -> SpectrogramSpec:
    """The spec of a new run as far as the options go; for the rest, what the corpus chose, and the defaults."""
    chosen = {
        name: value
        for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "floor_db")
        if (value := getattr(options, name)) is not None
    }
    if choice is not None:
        chosen.setdefault("n_fft", choice.n_fft)
    if "n_fft" in chosen and "hop_length" not in chosen:
        chosen["hop_length"] = chosen["n_fft"] // 4
    if "n_mels" not in chosen:
        spec = SpectrogramSpec(**{**chosen, "n_mels": 16})
        affordable = MOST_BANDS // frames_per_latent(spec.frame_rate_hz)
        wanted = DEFAULT_N_MELS if choice is None else _BANDS[choice.what]
        chosen["n_mels"] = max(16, min(wanted, affordable, spec.n_bins))
    return SpectrogramSpec(**chosen)


def window_is_open(options: Options) -> bool:
    """Whether the options leave the choice of the window to the corpus."""
    return options.n_fft is None and options.hop_length is None and options.n_mels is None


def with_floor(
    spec: SpectrogramSpec, recordings: Sequence[Recording], note: Callable[[str], None],
    tick: Callable[[int, int], None],
) -> SpectrogramSpec:
    """The spec with the floor that suits the recordings."""
    peaks = []
    for index, recording in enumerate(recordings):
        peaks.append(peak_band_level_db(recording, spec))
        tick(index + 1, len(recordings))
    floor_db = choose_floor_db(peaks)
    note(
        f"floor: {floor_db:.0f} dB, about {DEPTH_DB:.0f} dB under the peaks of the quieter recordings "
        f"(bands peak at {min(peaks):.0f} to {max(peaks):.0f} dB)"
    )
    return replace(spec, floor_db=floor_db)


def choose_pitches(options: Options, corpus: Corpus) -> tuple[str, ...]:
    """The original pitch and the copies, as keys of PITCH_RATIOS."""
    copies = options.pitch_copies
    if copies is None:
        hours = corpus.seconds / 3600
        copies = next((count for limit, count in _COPIES_BY_HOURS if hours <= limit), 0)
    if copies not in _COPIES:
        raise InvalidValue(f"pitch copies is {copies}; it must be one of {', '.join(map(str, _COPIES))}")
    return (ORIGINAL, *_COPIES[copies])


def choose_recipe(per_latent: int, pitches: tuple[str, ...], precision: str) -> Recipe:
    """The recipe, with crops that last as long whatever the hop. `per_latent`: frames that a latent stands for."""
    return Recipe(crop_frames=32 * per_latent, crop_margin=24 * per_latent, pitches=pitches, precision=precision)


def choose_budget(options: Options) -> Budget:
    """The budget asked for. Raises InvalidValue if it is asked for twice."""
    if options.minutes is not None and options.steps is not None:
        raise InvalidValue("give either --minutes or --steps, not both")
    if options.steps is not None:
        return Budget(steps=options.steps)
    return Budget(seconds=60 * (DEFAULT_MINUTES if options.minutes is None else options.minutes))


def choose_seed(options: Options) -> int:
    """The seed asked for, or the default one: the same corpus then gives the same model."""
    seed = DEFAULT_SEED if options.seed is None else options.seed
    if not 0 <= seed < 1 << 63:
        raise InvalidValue(f"seed is {seed}; it must be a whole number from 0 to 2^63 - 1")
    return seed


def make_manifest(corpus: Corpus, seed: int, heard: frozenset[str] = frozenset()) -> tuple[CorpusFile, ...]:
    """The recordings as the checkpoint will name them, split into training and held out.

    heard: hashes of recordings that the weights to begin with were trained on. They are never held out.
    """
    out = held_out([recording.sha256 for recording in corpus.recordings if recording.sha256 not in heard], seed)
    return tuple(
        CorpusFile(
            name=recording.name, seconds=recording.seconds, sample_rate=recording.sample_rate,
            channels=recording.channels, sha256=recording.sha256, held_out=recording.sha256 in out,
        )
        for recording in corpus.recordings
    )


def match_manifest(corpus: Corpus, manifest: Sequence[CorpusFile]) -> tuple[Recording, ...]:
    """The corpus's recordings in the manifest's order. Names may have changed; contents may not.

    Raises InvalidValue if recordings were added, removed or changed.
    """
    present = {recording.sha256: recording for recording in corpus.recordings}
    known = {file.sha256 for file in manifest}
    gone = [file.name for file in manifest if file.sha256 not in present]
    new = [recording.name for recording in corpus.recordings if recording.sha256 not in known]
    if gone or new:
        changes = [f"{len(names)} {what} ({names[0]}{', …' if len(names) > 1 else ''})"
                   for what, names in (("missing or changed", gone), ("new or changed", new)) if names]
        raise InvalidValue(f"the corpus is not the one this run was begun with: {', '.join(changes)}; "
                           "restore it, or start a new run with another -o or with --force")
    return tuple(present[file.sha256] for file in manifest)


def check_disk(wanted: Sequence[CachedSpectrogram]) -> None:
    """Raise FileError now if the spectrograms, all of one cache, will not fit on the disk."""
    if not wanted:
        return
    cache = wanted[0].cache
    needed = sum(source.frames for source in wanted) * 2 * cache.spec.n_mels * 2
    free = shutil.disk_usage(cache.folder).free
    if needed > 0.95 * free:
        raise FileError(f"{cache.folder} needs {needed / 1e9:.1f} GB for spectrograms and the disk has "
                        f"{free / 1e9:.1f} GB free; make room, or use --pitch-copies 0")
