"""A model in a blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill.errors import InvalidValue
from distill.model import Model

from .weights import Curve, curve_of


@dataclass(frozen=True)
class ModelSlot:
    """A model and how much of it. Raises InvalidValue for a weight that is not allowed.

    weight: a number from 0 up, or a sequence of them, evenly spaced over the length of the sound: (1, 0) fades away.
    enabled: False takes it out of the blend without forgetting its weight.
    label: what it is called in this blend; empty: by its own name.
    """

    model: Model
    weight: float | Sequence[float] = 1.0
    enabled: bool = True
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model):
            raise InvalidValue(f"model of a slot is {self.model!r}; it must be a Model, from distill.load")
        if not isinstance(self.enabled, bool):
            raise InvalidValue(f"enabled of {self.name} is {self.enabled!r}; it must be True or False")
        curve_of(self.weight, self.name)

    @property
    def name(self) -> str:
        return self.label or self.model.name

    @property
    def curve(self) -> Curve:
        """The weight over the length of the sound."""
        return curve_of(self.weight, self.name)
