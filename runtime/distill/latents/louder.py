"""The direction in which latents get louder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from distill.prior import Prior
from distill.rng import Rng

from .posterior import Posterior

Array = NDArray[np.float32]
LevelOf = Callable[[Array], Array]  # latents [latent_dim, n] -> their levels when each is held, dB [n]

_DRAWN = 64  # latents that are listened to where no corpus is stored


def louder(posterior: Posterior, prior: Prior | None, level_of: LevelOf) -> Array:
    """[latent_dim]: what is added to latents, on average over the corpus, for each dB of level.

    The regression of latents on level, cov(z, level) / var(level). Where the corpus has one level only, there is no
    such direction, and the result is zero.
    """
    if prior is not None:
        return prior.once(louder, lambda: _direction(prior.at(prior.sounding), prior.level[prior.sounding]))
    drawn = Rng((0,)).normal(posterior.root.shape[1] * _DRAWN).reshape(-1, _DRAWN)
    latents = posterior.mean[:, None] + posterior.root @ drawn
    return _direction(latents, level_of(latents))


def _direction(latents: Array, level: Array) -> Array:
    """The regression, of latents [latent_dim, n] on their levels [n]."""
    apart = (level - level.mean()).astype(np.float64)
    variance = float(np.mean(np.square(apart)))
    if variance < 1.0:
        return np.zeros(len(latents), np.float32)
    direction: Array = (latents @ apart / (len(apart) * variance)).astype(np.float32)
    return direction
