"""Noise in latent space that changes slowly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.rng import Rng, Seed

Array = NDArray[np.float32]


class SmoothNoise:
    """Gaussian noise [dim, frames] of constant covariance `root @ root.T`, root [dim, any], that changes slowly.

    Independent knots every `period` frames, joined by sine and cosine weights: their squares sum to one, so the
    variance between knots is that at the knots.
    """

    def __init__(self, root: Array, period: int, seed: Seed) -> None:
        self._root = root
        self._rng = Rng(seed)
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
        return self._root @ self._rng.normal(self._root.shape[1])


def period_of(seconds: float, rate_hz: float) -> int:
    """Latent frames from knot to knot, at least two."""
    return max(2, round(seconds * rate_hz))
