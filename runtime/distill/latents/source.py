"""What every mode's latents have in common: they are drawn first, and only then is it said how far they wander."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Source(ABC):
    """An endless latent sequence; `take(3)` then `take(5)` equals `take(8)`.

    What is drawn does not depend on wander. So a sound that is steered while it is made can draw ahead, as a decoder
    that looks ahead asks for, and still change its mind about what has not been played.
    """

    _wander: np.float32 = np.float32(0)

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""
        return self.wandered(self.draw(frames), self._wander)

    @abstractmethod
    def draw(self, frames: int) -> Array:
        """What the next `frames` latent frames are made of, [parts, latent_dim, frames]: a path, noise around it."""

    def wandered(self, drawn: Array, wander: Array | np.float32) -> Array:
        """What was drawn, [parts, latent_dim, frames], as latents [latent_dim, frames]; wander: 1 value or [frames]."""
        latents: Array = drawn[0] + drawn[1] * wander
        return latents
