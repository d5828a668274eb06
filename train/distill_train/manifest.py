"""Which recordings a model was made of, as the checkpoint keeps it: names and hashes, no sound, no paths."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One recording of the corpus."""

    name: str  # relative to the corpus folder, with forward slashes
    seconds: float
    sample_rate: int  # Hz, of the file itself
    channels: int  # audio channels of the file itself
    sha256: str  # of the file's bytes
    held_out: bool  # True: never trained on, only measured on


def corpus_hash(files: Sequence[CorpusFile]) -> str:
    """One hash for a set of recordings, whatever their names and their order."""
    return hashlib.sha256("".join(sorted(file.sha256 for file in files)).encode()).hexdigest()
