"""Where latents come from: one source a mode, each an endless sequence whose splits change nothing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.prior import Prior
from distill.sidecar import Sidecar

from .noise import Gaussian
from .walk import Walk

Array = NDArray[np.float32]


class Source(Protocol):
    """An endless latent sequence; `take(3)` then `take(5)` equals `take(8)`."""

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""


def make_source(sidecar: Sidecar, prior: Prior | None, knobs: Knobs, lane: int = 0) -> Source:
    """The source that `knobs.mode` means for a model. Sources of other lanes go with the first (stereo)."""
    latent = sidecar.latent
    if knobs.mode == "walk":
        if prior is not None:
            return Walk(prior, latent.rate_hz, knobs.seed, knobs.wander, lane)
        return Gaussian(np.array(latent.mean, np.float32), np.array(latent.std, np.float32), latent.rate_hz,
                        knobs.seed, lane)
    raise InvalidValue(f"mode {knobs.mode!r} is not offered by this model")
