"""The knobs of one call, checked. Facts of a model are in its sidecar; these are wishes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from .errors import InvalidValue

Mode = Literal["walk"]
Quality = Literal["fast", "balanced", "high"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """How to make a sound. Raises InvalidValue that names the knob and what is allowed."""

    seed: int = 0  # the same seed gives the same samples
    mode: Mode = "walk"
    wander: float = 0.3  # 0 stays with the recordings, 1 goes as far as from a recording to its neighbours
    quality: Quality = "balanced"  # of the phase: fast, balanced; high needs the whole file

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise InvalidValue(f"seed is {self.seed!r}; it must be a whole number from 0 to 2^63 - 1")
        _one_of("mode", self.mode, get_args(Mode))
        _one_of("quality", self.quality, get_args(Quality))
        _between("wander", self.wander, 0, 1)

    @classmethod
    def of(cls, **wishes: Any) -> Knobs:
        """Knobs from keyword arguments; an unknown one is an InvalidValue that lists those there are."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(wishes) - set(known))
        if unknown:
            raise InvalidValue(f"unknown knob {unknown[0]!r}; there are {', '.join(known)}")
        return cls(**wishes)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidValue(f"{name} is {value!r}; it must be {' or '.join([', '.join(allowed[:-1]), allowed[-1]])}"
                           if len(allowed) > 1 else f"{name} is {value!r}; it must be {allowed[0]}")


def _between(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise InvalidValue(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
