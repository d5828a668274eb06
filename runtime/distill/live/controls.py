"""The controls of a sound that is being made: any thread may move them, the audio thread looks and never waits."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from distill.blending.weights import check_weight
from distill.errors import InvalidValue
from distill.knobs import USES, Knobs
from distill.model import Model
from distill.presets import find
from distill.sliders import SliderValues

from .changes import Change, parse_line


class Targets(Struct, frozen=True):
    """Where everything is to go. Replaced whole, so whoever looks sees one moment."""

    knobs: Knobs
    weights: tuple[float, ...] = ()  # of the models of a blend


class Controls:
    """Where sliders, wander, weights, presets and the seed stand, and how to move them."""

    def __init__(self, models: Sequence[Model], knobs: Knobs, weights: tuple[float, ...] = (),
                 labels: Sequence[str] = ()) -> None:
        """labels: other names of the models, by which `weight` knows them too.

        Raises InvalidValue for knobs that name sliders which no model has.
        """
        self._models, self._labels = tuple(models), tuple(labels) or ("",) * len(models)
        self._lock = threading.Lock()  # between writers; readers need none
        self._now = Targets(replace(knobs, sliders=self._named(knobs.sliders)), weights)

    @property
    def now(self) -> Targets:
        """Where everything is to go, at this moment."""
        return self._now

    def send(self, line: str) -> None:
        """Obey a control line. Raises InvalidValue or NotFound, and then nothing has changed."""
        self.change(parse_line(line))

    def change(self, changes: Iterable[Change]) -> None:
        """Make all of these changes at once, or none: raises InvalidValue or NotFound."""
        with self._lock:
            wanted = self._now
            for change in changes:
                wanted = self._changed(wanted, change)
            if wanted.weights and not any(wanted.weights):
                raise InvalidValue("weights that are all 0 would leave no model; raise another one first")
            self._now = wanted

    def _changed(self, old: Targets, change: Change) -> Targets:
        knobs = old.knobs
        if change.what == "wander":
            return replace(old, knobs=replace(knobs, wander=change.value))
        if change.what == "slider":
            moved = {**knobs.sliders, **self._named({change.name: change.value})}
            return replace(old, knobs=replace(knobs, sliders=moved))
        if change.what == "seed":
            return replace(old, knobs=replace(knobs, seed=int(change.name)))
        if change.what == "weight":
            if not old.weights:
                raise InvalidValue(f"control 'weight {change.name}': only a blend has weights")
            at = self._slot(change.name)
            weights = list(old.weights)
            weights[at] = check_weight(change.value, change.name)
            return replace(old, weights=tuple(weights))
        return replace(old, knobs=self._with_preset(knobs, change.name))

    def _with_preset(self, knobs: Knobs, name: str) -> Knobs:
        """The preset's knobs and otherwise defaults; the seed, and what is done to the whole sound, stay.

        Raises NotFound, and InvalidValue for a preset that a sound cannot turn into while it plays.
        """
        if len(self._models) > 1:
            raise InvalidValue(f"preset {name!r} is for one model; a blend has sliders of several, so set them one by "
                               "one")
        model = self._models[0]
        preset = find(name, model.sidecar.model)
        kept = {name: getattr(knobs, name) for name in Knobs.__struct_fields__
                if name not in USES and name not in ("mode", "sliders")}
        wishes = {key: value for key, value in preset.wishes.items() if key not in kept or key == "seed"}
        wanted = Knobs(**{**kept, **wishes, "sliders": self._named(preset.wishes.get("sliders", {}))})
        if model.cut(wanted) != model.cut(knobs):
            raise InvalidValue(f"preset {name!r} is for mode {wanted.mode}: a sound that plays cannot change its "
                               "segments; start again with the preset")
        model.latents(wanted, 0)  # made here only to be refused here, and not in the audio thread
        return wanted

    def _named(self, wishes: Mapping[Any, float]) -> dict[str, float]:
        """Slider wishes by the names that the first model to have each of them gives it."""
        return {self._slider(key): value for key, value in SliderValues(wishes).items()}

    def _slider(self, key: str) -> str:
        refused: InvalidValue | None = None
        for model in self._models:
            try:
                return model.sliders.names[model.sliders.index(key)]
            except InvalidValue as error:
                refused = refused or error
        assert refused is not None  # there is always a model
        raise refused

    def _slot(self, name: str) -> int:
        """Which model `name` means: what it was called when the blend was made, its own name, or its number from 1."""
        names = [model.name for model in self._models]
        for known in (self._labels, [Path(label).name for label in self._labels], names):
            found = [i for i, label in enumerate(known) if label.casefold() == name.casefold()]
            if len(found) == 1:
                return found[0]
        numbers = [str(number) for number in range(1, len(names) + 1)]
        if name in numbers:
            return numbers.index(name)
        shown = [label or own for label, own in zip(self._labels, names, strict=True)]
        raise InvalidValue(f"weight {name!r}: no such model, or more than one; there are "
                           f"{', '.join(f'{i}: {n}' for i, n in enumerate(shown, 1))}")
