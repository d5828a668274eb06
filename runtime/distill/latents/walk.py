"""Mode `walk`: the corpus's own latent trajectories, followed, joined where they are alike, and blurred by wander.

Measured against other ways to make latents (Gaussian and mixture samples, interpolation between anchors, a recurrent
prior), stored trajectories with a little smooth noise came closest to held-out recordings: they keep the timing of
attacks, which averages lose. What is new comes from the noise, from the jumps and from the order.

All state is per latent frame and all draws are made in that order, so `take(3)` then `take(5)` equals `take(8)`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distill.knobs import Knobs
from distill.prior import Prior

from .noise import SmoothNoise, period_of
from .posterior import Posterior
from .seeds import path_and_noise
from .source import Source
from .trail import Trail, beginning

Array = NDArray[np.float32]

WANDER_SECONDS = 0.35  # from knot to knot of the noise


class Path(Protocol):
    """Endless latents; `take(3)` then `take(5)` equals `take(8)`."""

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""


class Walk(Source):
    """An endless latent sequence: a path through the corpus, and noise around it.

    wander: size of the noise, in units of the distance between near neighbours (`Prior.spread`); 0 follows the
    recordings exactly.
    """

    def __init__(self, prior: Prior, rate_hz: float, knobs: Knobs, lane: int = 0) -> None:
        """lane: walks of one seed in different lanes take the same path with different noise (stereo)."""
        path_seed, noise_seed = path_and_noise(knobs.seed, lane)
        near = None if knobs.near is None else prior.named(knobs.near)
        self._path: Path
        if knobs.density is None:
            self._path = Trail(prior, rate_hz, path_seed, knobs.chosen("jumps"),
                               beginning(prior, rate_hz, knobs.seed) if near is None else prior.span(near)[0])
        else:
            from .events import Clock, Struck
            from .onsets import Onsets

            clock_seed, choice_seed = (*path_seed, 0), (*path_seed, 1)
            clock = Clock(knobs.density, rate_hz, clock_seed)
            self._path = Struck(prior, Onsets.of(prior, rate_hz), rate_hz, choice_seed, clock.once(), near)
        self._noise = SmoothNoise(prior.spread, period_of(WANDER_SECONDS, rate_hz), noise_seed)
        self._wander = np.float32(knobs.chosen("wander"))
        self._dim = len(prior.stored)

    def draw(self, frames: int) -> Array:
        """The path and the noise, [2, latent_dim, frames]."""
        out = np.empty((2, self._dim, frames), np.float32)
        out[0] = self._path.take(frames)
        out[1] = self._noise.take(frames)
        return out


class Drift(Source):
    """Mode `walk` without a stored corpus: noise with the corpus's mean and covariance, from the sidecar.

    wander: how much of the noise is quick instead of slow. Lanes share the slow part.
    """

    def __init__(self, posterior: Posterior, rate_hz: float, seed: int, wander: float, lane: int = 0) -> None:
        path_seed, noise_seed = path_and_noise(seed, lane)
        self._mean = posterior.mean[:, None]
        self._slow = SmoothNoise(posterior.root, period_of(0.5, rate_hz), path_seed)
        self._quick = SmoothNoise(posterior.root, period_of(0.1, rate_hz), noise_seed)
        self._wander = np.float32(wander)

    def draw(self, frames: int) -> Array:
        """The slow noise and the quick, [2, latent_dim, frames]."""
        return np.stack([self._slow.take(frames), self._quick.take(frames)])

    def wandered(self, drawn: Array, wander: Array | np.float32) -> Array:
        """wander: the share of the quick one; the variance stays."""
        latents: Array = self._mean + np.sqrt(1 - wander * wander) * drawn[0] + wander * drawn[1]
        return latents
