"""A category's recordings in two: those to train on and those held out, as `distill-train` divides them.

It depends on their contents and the seed alone, so every system of every run is trained and measured on the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue
from distill_train.audio import resample
from distill_train.checkpoint import Checkpoint
from distill_train.corpus import scan
from distill_train.manifest import CorpusFile
from distill_train.options import Options
from distill_train.plan import choose_pitches, make_manifest
from distill_train.reader import read_mono

from .recordings import SAMPLE_RATE, by_content

Floats = NDArray[np.float32]
SEED = 1


@dataclass(frozen=True)
class Division:
    """The recordings of a category as they lie here. pitches: of the copies to train on, keys of PITCH_RATIOS."""

    category: str
    folders: tuple[Path, ...]
    files: tuple[tuple[Path, CorpusFile], ...]
    pitches: tuple[str, ...]
    seed: int

    def paths(self, held_out: bool) -> list[Path]:
        return sorted(path for path, file in self.files if file.held_out == held_out)

    def facts(self) -> dict[str, Any]:
        """What the page says about it."""
        return {"training": len(self.paths(False)), "held_out": len(self.paths(True)), "seed": self.seed,
                "seconds": round(sum(file.seconds for _, file in self.files)), "copies": len(self.pitches) - 1}

    def training_sounds(self) -> list[Floats]:
        """The whole of every training file at its own level, mono, at SAMPLE_RATE: for the systems of others."""
        sounds = [read_mono(path) for path in self.paths(False)]
        return [resample(sound, rate, SAMPLE_RATE) for sound, rate in sounds]

    def corpus(self, work: Path) -> Path:
        """One folder with all: `distill-train` takes one and follows links."""
        return self.folders[0] if len(self.folders) == 1 else _linked(self.folders, work / "corpus")


def divide(category: str, folders: Sequence[Path], work: Path) -> Division:
    """As `distill-train --seed 1` would. Raises InvalidValue if nothing can be used."""
    corpus = scan(folders[0] if len(folders) == 1 else _linked(folders, work / category / "corpus"))
    pitches = choose_pitches(Options(corpus=corpus.folder, run=corpus.folder), corpus)
    manifest = make_manifest(corpus, SEED)
    files = tuple((r.path, file) for r, file in zip(corpus.recordings, manifest, strict=True))
    return Division(category, tuple(folders), files, pitches, SEED)


def division_of(checkpoint: Checkpoint, categories: Mapping[str, Sequence[Path]]) -> Division:
    """That of a run which exists. Its recordings are found among the categories' files by their content.

    Raises InvalidValue if one of them is not there.
    """
    present = by_content(categories)
    missing = [file.name for file in checkpoint.corpus if file.sha256 not in present]
    if missing:
        raise InvalidValue(f"{len(missing)} of {len(checkpoint.corpus)} recordings of the run, {missing[0]!r} among "
                           "them, are in no folder given; name the corpus it was trained on as NAME=FOLDER")
    category = present[checkpoint.corpus[0].sha256][0]
    files = tuple((present[file.sha256][1], file) for file in checkpoint.corpus)
    return Division(category, tuple(categories[category]), files, checkpoint.recipe.pitches, checkpoint.seed)


def _linked(folders: Sequence[Path], corpus: Path) -> Path:
    """One folder with a link to each."""
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for number, folder in enumerate(folders, 1):
        (corpus / f"{number}-{folder.name}").symlink_to(folder.resolve(), target_is_directory=True)
    return corpus
