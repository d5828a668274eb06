"""How much of each model, and how that changes over the length of a sound.

A curve is a few weights, evenly spaced from the first moment of the sound to its last and joined by straight lines:
(0.7,) stays, (1, 0) goes away, (0, 1, 0) comes and goes. At every moment the weights of all models are divided by
their sum, so only their proportions matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue

Curve = tuple[float, ...]
Doubles = NDArray[np.float64]

_LONGEST_CURVE = 1000
_LARGEST = 1e6


def curve_of(weight: object, name: str) -> Curve:
    """A weight as a curve: a number, or a sequence of numbers. Raises InvalidValue that names the model."""
    points: Sequence[object] = weight if isinstance(weight, (tuple, list)) else (weight,)
    if not 1 <= len(points) <= _LONGEST_CURVE:
        raise InvalidValue(f"weight of {name} has {len(points)} points; it must have 1 to {_LONGEST_CURVE}")
    return tuple(check_weight(point, name) for point in points)


def check_weight(weight: object, name: str) -> float:
    """One weight as a float. Raises InvalidValue that names the model."""
    number = isinstance(weight, (int, float, np.floating, np.integer)) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or not 0 <= weight <= _LARGEST:  # type: ignore[arg-type,operator]
        raise InvalidValue(f"weight of {name} is {weight!r}; it must be a number from 0 to {_LARGEST:g}")
    return float(weight)  # type: ignore[arg-type]


def parse_curve(text: str, name: str) -> Curve:
    """`0.7`, or `1..0`, or `0..1..0` -> a curve. Raises InvalidValue that names the model."""
    try:
        numbers = [float(part) for part in text.split("..")]
    except ValueError:
        raise InvalidValue(f"weight of {name} is {text!r}; it must be a number, or several joined by two dots "
                           "for one that moves, like 1..0") from None
    return curve_of(numbers, name)


@dataclass(frozen=True)
class Weights:
    """The curves of all models of a blend. Raises InvalidValue where all of them are zero at once."""

    curves: tuple[Curve, ...]

    def __post_init__(self) -> None:
        knots = {i / max(1, len(curve) - 1) for curve in self.curves for i in range(len(curve))}
        for knot in sorted(knots):  # between knots all is linear, so a sum can only touch zero at one
            if not self._raw(np.array([knot])).sum() > 0:
                when = f" {100 * knot:.0f} % into the sound" if self.moving else ""
                raise InvalidValue(f"all weights are 0{when}; at least one must be above 0")

    @property
    def moving(self) -> bool:
        """Whether any weight changes, so that the sound must have a length."""
        return any(len(curve) > 1 for curve in self.curves)

    @property
    def used(self) -> list[int]:
        """The models that are heard at some moment."""
        return [i for i, curve in enumerate(self.curves) if max(curve) > 0]

    @property
    def lead(self) -> int:
        """The heaviest model at the start; of equals the first."""
        return int(np.argmax([curve[0] for curve in self.curves]))

    def at(self, position: Doubles) -> Doubles:
        """Positions [n] from 0 (start) to 1 (end) -> [models, n], summing to 1; elementwise: splits do not matter."""
        return normalised(self._raw(position))

    def _raw(self, position: Doubles) -> Doubles:
        rows = []
        for curve in self.curves:
            points = np.array(curve)
            place = np.clip(position, 0, 1) * (len(points) - 1)
            before = np.minimum(place.astype(np.int64), max(0, len(points) - 2))
            share = place - before
            rows.append(points[before] * (1 - share) + points[np.minimum(before + 1, len(points) - 1)] * share)
        return np.stack(rows)


def normalised(raw: Doubles) -> Doubles:
    """Weights [models, n] divided by their sum; a model that is alone gets exactly 1."""
    total = raw[0].copy()
    for row in raw[1:]:  # row by row: the order of the sum must not depend on n
        total += row
    result: Doubles = raw / total
    return result
