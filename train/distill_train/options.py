"""What one call of `distill-train` asks for. None means: as the run was begun, or the default for a new run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Knobs of one call; the facts of the model that come of them are in the checkpoint."""

    corpus: Path
    run: Path
    minutes: float | None = None
    steps: int | None = None
    resume: bool = False
    parent: Path | None = None  # run or checkpoint whose weights a new run begins with
    force: bool = False
    seed: int | None = None
    sample_rate: int | None = None  # Hz
    n_fft: int | None = None
    hop_length: int | None = None
    n_mels: int | None = None
    floor_db: float | None = None
    size: str | None = None
    pitch_copies: int | None = None  # 0, 2, 4 or 12 of each recording
    device: str = "auto"
    precision: str = "auto"


DEFAULT_MINUTES = 10.0
DEFAULT_SEED = 0
DEFAULT_SIZE = "base"
DEFAULT_N_MELS = 384
STROKES_N_MELS = 512  # for strokes: of their short window almost a band for each bin
STEADY_N_MELS = 640  # for steady sounds, whose upper half says more and whose time says less: docs/training.md
MOST_BANDS = 2048  # times frames in a latent frame: as many as a decoder of size base has work left for
