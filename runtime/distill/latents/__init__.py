"""Where latents come from: one source a mode, each an endless sequence whose splits change nothing.

Modes are imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.prior import Prior
from distill.sidecar import Sidecar

from .cut import Cut
from .posterior import Posterior
from .source import Source

if TYPE_CHECKING:
    from .louder import LevelOf

__all__ = ["Cut", "Source", "make_source"]


def make_source(sidecar: Sidecar, prior: Prior | None, knobs: Knobs, lane: int = 0,
                level_of: LevelOf | None = None) -> Source:
    """The source that `knobs.mode` means for a model. Sources of other lanes go with the first (stereo).

    level_of: asks the decoder for the levels of latents, so that modes that leave the corpus's paths can be even.
    Raises InvalidValue for a knob that asks for what the model does not have.
    """
    latent, rate = sidecar.latent, sidecar.latent.rate_hz
    for knob in ("near", "density", "jumps"):
        if getattr(knobs, knob) is not None and prior is None:
            raise InvalidValue(f"{knob} needs the corpus as latents (prior.npz), which this model does not have")
    if knobs.mode == "walk":
        from .walk import Drift, Walk

        return Walk(prior, rate, knobs, lane) if prior is not None \
            else Drift(Posterior.of(latent, None), rate, knobs.seed, knobs.chosen("wander"), lane)
    if knobs.mode == "crossfade":
        from .segments import DriftSegments, Segments

        return Segments(prior, rate, knobs, lane) if prior is not None \
            else DriftSegments(Posterior.of(latent, None), rate, knobs, lane)
    posterior = Posterior.of(latent, prior)
    if knobs.mode == "interpolate":
        from .interpolate import Interpolation

        return Interpolation(posterior, prior, rate, knobs, lane, level_of)
    from .vector import Vector

    return Vector(posterior, rate, knobs, lane)
