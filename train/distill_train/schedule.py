"""How far a run has come, and what the learning rate is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from distill.errors import InvalidValue

from .config import Recipe


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use up: a number of steps, or seconds of training time. Exactly one of the two."""

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise InvalidValue("a run is limited either by steps or by minutes: give one of them")
        if self.steps is not None and self.steps < 1:
            raise InvalidValue(f"steps is {self.steps}; it must be at least 1")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise InvalidValue(f"minutes is {self.seconds / 60:g}; it must be a number above 0")

    def used(self, steps: int, seconds: float) -> float:
        """The share that is used up, 0..1, after so many steps and so many seconds of training."""
        share = steps / self.steps if self.steps is not None else seconds / (self.seconds or 1.0)
        return min(1.0, share)

    def __str__(self) -> str:
        return f"{self.steps} steps" if self.steps is not None else f"{(self.seconds or 0) / 60:g} minutes"


def learning_rate(recipe: Recipe, step: int, used: float) -> float:
    """A short linear rise, then a cosine to zero over the budget. `step` counts from 0."""
    rise = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    return recipe.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * used))


def kl_weight(recipe: Recipe, step: int) -> float:
    """Beta: rises linearly from zero, then stays."""
    return recipe.kl_weight * min(1.0, step / max(1, recipe.kl_warmup_steps))
