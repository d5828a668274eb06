"""Which models can be blended how, and a message that says what would work where they cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from distill.arrays import namespace
from distill.errors import InvalidValue
from distill.model import Model
from distill.sidecar import Sidecar
from distill.spec import SpectrogramSpec


def common_spec(models: Sequence[Model]) -> SpectrogramSpec:
    """The spec that all models share, with the lowest of their floors.

    The floor is a property of each corpus and no obstacle: `on_floor` brings levels to a lower one.
    Raises InvalidValue that names what differs.
    """
    first = models[0]
    floor = min(model.spec.floor_db for model in models)
    for model in models[1:]:
        for field in fields(SpectrogramSpec):
            ours, theirs = getattr(first.spec, field.name), getattr(model.spec, field.name)
            if field.name != "floor_db" and ours != theirs:
                raise InvalidValue(f"{first.name} and {model.name} cannot be blended as spectrograms: {field.name} is "
                                   f"{ours} and {theirs}; mode audio blends any models")
    return replace(first.spec, floor_db=floor)


def need_one_latent_space(models: Sequence[Model]) -> None:
    """Raises InvalidValue unless the models' latents mean the same to all of them."""
    first = models[0]
    common_spec(models)
    for model in models[1:]:
        reason = _latents_differ(first.sidecar, model.sidecar)
        if reason:
            raise InvalidValue(f"{first.name} and {model.name} have no latent space in common: {reason}; "
                               "mode spectral blends models with one spectrogram, mode audio any models")


def _latents_differ(a: Sidecar, b: Sidecar) -> str:
    """Why latents of `a` mean nothing to `b`; empty where they do.

    Latents mean the same where both come from one ancestor: a child that was fine-tuned keeps its parent's space,
    approximately where its encoder moved, exactly where the encoder's file is the same.
    """
    if a.latent.dim != b.latent.dim:
        return f"latent.dim is {a.latent.dim} and {b.latent.dim}"
    if a.latent.frames_per_latent != b.latent.frames_per_latent:
        return f"latent.frames_per_latent is {a.latent.frames_per_latent} and {b.latent.frames_per_latent}"
    encoders = [entry.sha256 if entry else None for entry in (a.file("encoder"), b.file("encoder"))]
    if encoders[0] is not None and encoders[0] == encoders[1]:
        return ""
    if _family(a) & _family(b):
        return ""
    return "neither was fine-tuned from the other, nor both from one model"


def _family(sidecar: Sidecar) -> set[str]:
    """Checkpoints whose latent space a model shares: its own, and those it was fine-tuned from."""
    return {sidecar.provenance.checkpoint_sha256, *sidecar.provenance.ancestors}


def on_floor(spectrogram: Any, old_db: float, new_db: float, gain_db: float = 0.0) -> Any:
    """Levels over one floor, [2, n_mels, n], as levels over another one, and louder by a gain. Of any device.

    Synthesis takes the floor's power off, so that a band at the floor is silent. Taking off the old floor here and
    adding the new one leaves every band the power that it would have had, and silence stays silent under any gain.
    """
    if old_db == new_db and gain_db == 0:
        return spectrogram
    xp, db = namespace(spectrogram), math.log(10) / 10  # nepers of power in a dB
    power = xp.expm1(xp.clip(spectrogram[0, ...] - old_db, 0, None) * db)  # over the old floor's
    power = power * 10 ** (gain_db / 10) + 10 ** ((new_db - old_db) / 10)
    return xp.stack([old_db + xp.log(power) / db, spectrogram[1, ...]])
