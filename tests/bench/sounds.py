"""Sounds whose measures are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.quality.recordings import SAMPLE_RATE

Floats = NDArray[np.float32]


def noise(seed: int = 0, seconds: float = 0.5) -> Floats:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(SAMPLE_RATE * seconds))).astype(np.float32)


def hit(seconds: float = 1.0) -> Floats:
    """Silence, and from the middle on a noise that dies away."""
    sound = noise(seconds=seconds)
    half = len(sound) // 2
    sound[:half] = 0
    sound[half:] *= np.exp(-np.arange(len(sound) - half) / 4000).astype(np.float32)
    return sound
