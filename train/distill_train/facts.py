"""The facts of a run: what is settled when it begins and stays until it ends."""

from __future__ import annotations

from dataclasses import dataclass

from distill.spec import SpectrogramSpec

from .config import NetworkConfig, Recipe
from .manifest import CorpusFile
from .schedule import Budget
from .statistics import Statistics


@dataclass(frozen=True, slots=True)
class Facts:
    """Named as in the checkpoint, which holds them all. Only the budget may grow on resuming."""

    spec: SpectrogramSpec
    stats: Statistics
    network: NetworkConfig
    recipe: Recipe
    budget: Budget
    seed: int
    corpus: tuple[CorpusFile, ...]
    latent_scale: tuple[float, ...]  # [latent_dim] of a latent in the model / in training, where all are alike
    ancestors: tuple[str, ...]  # SHA-256 of the checkpoints it descends from, oldest first
