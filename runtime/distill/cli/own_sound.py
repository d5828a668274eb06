"""The flags that let a sound begin with one of the user's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import InvalidValue

if TYPE_CHECKING:
    from distill.blending import Blend
    from distill.model import Model

FromAudio = Annotated[Path | None, typer.Option(
    metavar="RECORDING", help="Begin with a sound of yours, as the model understands it; any file, at any rate.")]
Latents = Annotated[Path | None, typer.Option(
    metavar="FILE", help="Play latents that distill encode wrote, as they are, unless --wander or --jumps say other; "
                         "--seconds left out: as long as they are.")]


def check(from_audio: Path | None, latents: Path | None) -> None:
    """Raises InvalidValue where both are given."""
    if from_audio is not None and latents is not None:
        raise InvalidValue("--from-audio and --latents both say how to begin; give one")


def with_recording(voice: Model | Blend, path: Path) -> Model | Blend:
    """The voice, its models anchored in a recording. Raises what reading and encoding it raises."""
    from distill.model import Model

    from .encode import latents_of

    def anchored(model: Model) -> Model:
        return model.anchored(latents_of(model, path)[0], path.name)

    if isinstance(voice, Model):
        return anchored(voice)
    from distill.blending import blend

    return blend([replace(slot, model=anchored(slot.model)) if slot.enabled else slot for slot in voice.slots],
                 voice.mode)


def with_latents(voice: Model | Blend, path: Path) -> tuple[Model, float]:
    """The model, anchored in the latents of a file, and how many seconds they last.

    Raises InvalidValue where they are not the model's, and what reading them raises.
    """
    from distill.latent_file import read_latents
    from distill.model import Model

    if not isinstance(voice, Model):
        raise InvalidValue("latents belong to one model; a blend can begin with a sound: --from-audio")
    latents, metadata = read_latents(path)
    if metadata.model_id != voice.sidecar.model.id:
        raise InvalidValue(f"{path}: these are latents of the model {metadata.model} ({metadata.model_id}), and this "
                           f"is {voice.name} ({voice.sidecar.model.id}); encode the recording again")
    return voice.anchored(latents, metadata.source), metadata.samples / metadata.sample_rate_hz


def played_as_they_are(given: dict[str, Any]) -> dict[str, Any]:
    """Knobs with which a walk stays in the latents that it begins with, where the flags do not say other."""
    if given.get("mode", "walk") != "walk" or "density" in given:
        return given
    return {"wander": 0.0, "jumps": 0.0, **given}
