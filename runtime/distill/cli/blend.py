"""`distill blend`: several models as one sound. All that makes the sound is `distill generate`'s, flags included."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from distill.errors import InvalidValue

from .generate import generate

if TYPE_CHECKING:
    from distill.blending import Blend, ModelSlot
    from distill.model import Model

_NOT_OURS = ("output", "model")  # flags of generate that mean something else here


def blend(
    slots: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL=WEIGHT...", help="A weight is 0.7, or 1..0 to move over the sound's length."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write (.wav .flac .ogg .mp3 .aiff); - is stdout."),
    ] = None,
    blend_mode: Annotated[
        str | None, typer.Option(help="spectral: a morph; latent: one path, related models; audio: any models, mixed."),
    ] = None,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Keep models, weights and mode as a set.")] = None,
    use: Annotated[str | None, typer.Option("--set", metavar="NAME", help="The models of a set kept before.")] = None,
    **flags: Any,
) -> None:
    """Make one sound from several models.

    Example: distill blend bells=0.7 drums=0.3 -o both.wav --seconds 10
    """
    if (use is None) == (not slots):
        raise InvalidValue("say which models: MODEL=WEIGHT for each, or --set NAME for a set kept before")
    if use is not None and (save is not None or blend_mode is not None):
        raise InvalidValue("--set takes models, weights and mode as they were kept; --save and --blend-mode go with "
                           "MODEL=WEIGHT")
    wishes = [_wish(slot) for slot in slots or []]

    def opened(device: str, variant: str | None, threads: int | None) -> tuple[Blend, bool]:
        from distill import blending
        from distill.blending.sets import load_blend, save_blend
        from distill.blending.weights import parse_curve
        from distill.tuning import load_tuned

        tuned = []

        def load(name: str) -> Model:
            model, by_bench = load_tuned(name, device=device, variant=variant, threads=threads)  # type: ignore[arg-type]
            tuned.append(by_bench)
            return model

        if use is not None:
            voice = load_blend(use, load)
        else:
            curves = [parse_curve(weight, name) for name, weight in wishes]
            made: list[ModelSlot] = [blending.ModelSlot(load(name), curve, label=name)
                                     for (name, _), curve in zip(wishes, curves, strict=True)]
            mode: Any = blend_mode or "spectral"
            voice = blending.blend(made, mode)
            if save is not None:
                path = save_blend(save, made, mode, [name for name, _ in wishes], force=bool(flags["force"]))
                print(f"kept as {path}", file=sys.stderr)
        if voice.moving and flags["endless"]:
            raise InvalidValue("weights that move need a sound with an end; use --seconds, or constant weights")
        return voice, any(tuned)

    if save is not None and output is None and not flags["play"]:
        opened(flags["device"], flags["variant"], flags["threads"])
    else:
        generate(output, opened, **flags)  # type: ignore[arg-type]


def _wish(text: str) -> tuple[str, str]:
    """`MODEL=WEIGHT` -> both parts; a path may hold `=` itself."""
    name, sign, weight = text.rpartition("=")
    if not sign or not name or not weight:
        raise InvalidValue(f"{text!r} is no MODEL=WEIGHT, such as bells=0.7")
    return name, weight


def _with_flags_of(source: Callable[..., None], target: Callable[..., None]) -> None:
    """Give `target`, which takes **flags, the flags of `source` that it does not have itself."""
    def parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
        hints = get_type_hints(function, include_extras=True)
        return [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY)
                for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]

    own = parameters(target)
    shared = [p for p in parameters(source) if p.name not in _NOT_OURS]
    target.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    target.__annotations__ = {p.name: p.annotation for p in (*own, *shared)} | {"return": None}


_with_flags_of(generate, blend)
