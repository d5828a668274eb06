"""Noise in latent space that changes slowly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class SmoothNoise:
    """Gaussian noise [dim, frames] of constant covariance `root @ root.T` that changes slowly.

    Independent knots every `period` frames, joined by sine and cosine weights: their squares sum to one, so the
    variance between knots is that at the knots.
    """

    def __init__(self, root: Array, period: int, seed: np.random.SeedSequence) -> None:
        self._root = root
        self._rng = np.random.default_rng(seed)
        angle = np.arange(period, dtype=np.float32) * np.float32(np.pi / 2 / period)
        self._fade = np.cos(angle), np.sin(angle)
        self._period, self._phase = period, 0
        self._knots = [self._knot(), self._knot()]

    def take(self, frames: int) -> Array:
        """The next `frames` frames, [dim, frames]."""
        pieces = []
        while frames > 0:
            count = min(frames, self._period - self._phase)
            part = slice(self._phase, self._phase + count)
            pieces.append(np.outer(self._knots[0], self._fade[0][part]) + np.outer(self._knots[1], self._fade[1][part]))
            self._phase += count
            frames -= count
            if self._phase == self._period:
                self._phase = 0
                self._knots = [self._knots[1], self._knot()]
        return np.concatenate(pieces, axis=1) if pieces else np.empty((len(self._root), 0), np.float32)

    def _knot(self) -> Array:
        return self._root @ self._rng.standard_normal(len(self._root), np.float32)


class Gaussian:
    """Without a stored corpus: smooth noise with the corpus's mean and spread, from the sidecar."""

    def __init__(self, mean: Array, std: Array, rate_hz: float, seed: int, lane: int = 0) -> None:
        self._mean = mean[:, None]
        self._noise = SmoothNoise(np.diag(std), max(2, round(0.5 * rate_hz)), np.random.SeedSequence((seed, lane)))

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""
        return self._mean + self._noise.take(frames)
