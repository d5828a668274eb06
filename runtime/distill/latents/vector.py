"""Mode `vector`: one latent, held still or moving around where it is.

At `evolution` 0 the latent never changes; the sound still lives, for its phases advance. Above that the latents move
around the vector, at 1 as far as those of the corpus lie from each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.rng import Rng

from .noise import SmoothNoise, period_of
from .posterior import Posterior
from .seeds import path_and_noise
from .source import Source

Array = NDArray[np.float32]

_SECONDS = 0.8  # from knot to knot of the movement
_OWN = 0.2  # share of a lane's own movement in the variance


class Vector(Source):
    """An endless latent sequence around `knobs.latent`.

    Without that it is the moment of the corpus nearest to the corpus median or, where no corpus is stored, a latent
    that the seed draws.
    """

    def __init__(self, posterior: Posterior, rate_hz: float, knobs: Knobs, lane: int = 0) -> None:
        """Raises InvalidValue for a latent of another size than the model's."""
        dim = len(posterior.mean)
        if knobs.latent is not None and len(knobs.latent) != dim:
            raise InvalidValue(f"latent has {len(knobs.latent)} numbers; this model's latents have {dim}")
        path_seed, noise_seed = path_and_noise(knobs.seed, lane)
        if knobs.latent is not None:
            middle = np.array(knobs.latent, np.float32)
        elif posterior.middle is not None:
            middle = posterior.middle
        else:
            drawn = Rng((*path_seed, 0)).normal(posterior.root.shape[1])
            middle = posterior.mean + posterior.root @ drawn
        self._middle = middle[:, None]
        period = period_of(_SECONDS, rate_hz)
        self._common = SmoothNoise(posterior.root, period, path_seed)
        self._own = SmoothNoise(posterior.root, period, noise_seed)
        self._sizes = np.float32(knobs.chosen("evolution")) * np.sqrt(np.array([1 - _OWN, _OWN], np.float32))

    def draw(self, frames: int) -> Array:
        """The latents themselves, [1, latent_dim, frames]."""
        common, own = self._common.take(frames), self._own.take(frames)
        latents: Array = self._middle + self._sizes[0] * common + self._sizes[1] * own
        return latents[None]

    def wandered(self, drawn: Array, wander: Array | np.float32) -> Array:
        """`wander` has no meaning in this mode."""
        latents: Array = drawn[0]
        return latents
