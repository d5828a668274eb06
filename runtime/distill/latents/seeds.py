"""Random generators of one sound: a path that all lanes share, and noise that each lane has to itself."""

from __future__ import annotations

import numpy as np


def path_and_noise(seed: int, lane: int) -> tuple[np.random.SeedSequence, np.random.SeedSequence]:
    """The seeds of the path and of lane `lane`'s noise. Lanes of one seed go together (stereo)."""
    path, *noises = np.random.SeedSequence(seed).spawn(2 + lane)
    return path, noises[lane]
