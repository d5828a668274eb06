"""Seeds of one sound: of a path that all lanes share, and of noise that each lane has to itself."""

from __future__ import annotations

from distill.rng import Seed


def path_and_noise(seed: int, lane: int) -> tuple[Seed, Seed]:
    """The seeds of the path and of lane `lane`'s noise. Lanes of one seed go together (stereo)."""
    return (seed, 0), (seed, 1 + lane)
