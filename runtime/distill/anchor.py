"""A model with a recording of yours beside its corpus: every mode begins there."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from .arrays import on_host
from .errors import InvalidValue
from .knobs import USES, Knobs
from .latents.posterior import most_typical
from .model import Model
from .prior import Prior

Array = NDArray[np.float32]


class Anchored(Model):
    """`model`, with latents that are treated as one more recording of its corpus.

    Unless knobs say otherwise, walk, crossfade and interpolate start from it, and vector stays where it is most
    typical. A walk goes on from its places to places of the corpus that are like them. The model itself is not
    changed; both share its graphs.
    """

    def __init__(self, model: Model, latents: ArrayLike, name: str = "recording") -> None:
        """latents: [latent_dim, latent_frames], out of `model.encode`. Raises InvalidValue, NumericError."""
        self.__dict__.update(model.__dict__)
        own = model._checked(latents)
        if own.shape[1] == 0:
            raise InvalidValue("latents are empty; there is nothing to begin with")
        self.anchor, self._anchor_latents = f"input: {name}", own
        level = _levels(model, own)
        self._typical = most_typical(own, level)
        self.__dict__["prior"] = _joined(model.prior, own, level, self.anchor, self.sidecar.latent.rate_hz)

    @property
    def about(self) -> dict[str, Any]:
        latents = np.ascontiguousarray(self._anchor_latents, "<f4").tobytes()
        return {**super().about, "anchor": self.anchor, "anchor_sha256": hashlib.sha256(latents).hexdigest()}

    def _own_knobs(self, knobs: Knobs) -> Knobs:
        if knobs.near is None and knobs.mode in USES["near"].modes:
            return replace(knobs, near=self.anchor)
        if knobs.latent is None and knobs.mode in USES["latent"].modes:
            return replace(knobs, latent=tuple(float(value) for value in self._typical))
        return knobs


def _levels(model: Model, latents: Array) -> Array:
    """[latent_frames]: dB, power summed over the bands, of the loudest spectrogram frame in each latent frame."""
    parts = []
    for piece in map(on_host, model.decoded([latents])):
        power = np.exp(piece[0] * np.float32(np.log(10) / 10)).sum(axis=0)
        parts.append(10 * np.log10(power.reshape(-1, model.sidecar.latent.frames_per_latent).max(axis=1)))
    levels: Array = np.concatenate(parts)
    return levels


def _joined(prior: Prior | None, latents: Array, level: Array, name: str, rate_hz: float) -> Prior:
    count = latents.shape[1]
    if prior is None:
        alone = Prior(latents, np.array([0, count], np.int64), (name,), np.empty((0, 0), np.float32), level)
        return replace(alone, spread=alone.measure_spread(rate_hz))
    return Prior(np.concatenate([prior.latents, latents], axis=1),
                 np.append(prior.offsets, prior.total + count).astype(np.int64), (*prior.files, name), prior.spread,
                 np.concatenate([prior.level, level]))
