"""The flags that move sliders and recall presets, and how all flags become one call's knobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import InvalidValue

from .progress import tell

if TYPE_CHECKING:
    from distill.blending import Blend
    from distill.knobs import Knobs
    from distill.model import Model

Slider = Annotated[list[str] | None, typer.Option(
    metavar="NAME=VALUE", help="Move a slider, by name or number (distill info lists them), to -10..10; repeatable.")]
Randomize = Annotated[bool, typer.Option(
    "--randomize", help="Draw the sliders' positions from the seed; those given with --slider stay.")]
Preset = Annotated[str | None, typer.Option(
    metavar="NAME", help="Knobs kept with distill presets save, or a preset's .json file; flags given here win.")]


def sliders_of(texts: list[str] | None) -> dict[str, float]:
    """NAME=VALUE, ... -> wishes. Raises InvalidValue for what is no such thing, or a slider that is given twice."""
    wishes: dict[str, float] = {}
    for text in texts or []:
        name, sign, value = text.rpartition("=")
        name = name.strip().casefold()
        if not sign or not name:
            raise InvalidValue(f"slider {text!r} is no NAME=VALUE, such as brightness=3")
        if name in wishes:
            raise InvalidValue(f"slider {name} is given twice")
        try:
            wishes[name] = float(value)
        except ValueError:
            raise InvalidValue(f"slider {name} is {value!r}; it must be a number from -10 to 10") from None
    return wishes


class Wishes:
    """What one command was asked for: a preset, overridden by flags.

    given: the knobs whose flags were given. Raises InvalidValue, NotFound, BundleError.
    """

    def __init__(self, voice: Model | Blend, given: Mapping[str, Any], sliders: list[str] | None = None,
                 preset: str | None = None, randomize: bool = False, seed: int | None = None) -> None:
        self._models: list[Model] = list(getattr(voice, "models", [voice]))
        self._randomize = randomize
        self._held = sliders_of(sliders)
        kept = _preset(preset, self._models)
        if len(self._models) == 1:
            own = self._models[0].sliders
            self._held = {**own.named(kept.get("sliders", {})), **own.named(self._held)}
        if randomize and not any(model.sliders.names for model in self._models):
            self._models[0].sliders.drawn(0)  # says that there are none
        chosen = kept.get("seed") if seed is None else seed
        self.seed: int = _drawn_seed() if chosen is None else chosen
        self._rest = {**kept, **given}
        self.knobs(0)

    def knobs(self, index: int) -> Knobs:
        """Of sound number `index`, counted from 0: seeds count up."""
        from distill.knobs import Knobs

        seed, sliders = self.seed + index, dict(self._held)
        if self._randomize:
            for model in reversed(self._models):
                if model.sliders.names:
                    sliders = {**sliders, **model.sliders.drawn(seed, model.sliders.own(self._held))}
        return Knobs.of(**{**self._rest, "seed": seed, "sliders": sliders})

    def told(self, knobs: Knobs) -> None:
        """Say where the sliders were put by chance."""
        if self._randomize:
            tell("sliders " + " ".join(f"{name}={value:g}" for name, value in knobs.sliders.items()))


def _preset(name: str | None, models: list[Model]) -> Mapping[str, Any]:
    if name is None:
        return {}
    from distill.presets import find

    if len(models) > 1:
        raise InvalidValue(f"preset {name!r} is for one model; a blend has sliders of several, so set them one by one")
    return find(name, models[0].sidecar.model).wishes


def _drawn_seed() -> int:
    import os

    return int.from_bytes(os.urandom(4), "little") >> 1
