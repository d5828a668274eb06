"""Sliders: directions in latent space that were named, at export, after what they change in the sound.

A slider stands at 0, where it changes nothing, and goes from -10 to 10. Its scale is the corpus's own. With low, mid
and high the 1st, 50th and 99th percentile of the corpus along the slider's axis, value v moves every latent by

    offset(v) = (mid - low) * v / 10   for v < 0,        (high - mid) * v / 10   for v > 0

along it: 10 is as far as from the middle of the corpus to its far end. The offset is added to the latents of whatever
mode makes them, before they are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidValue
from .rng import Rng
from .sidecar import Sidecar
from .suggest import did_you_mean

Array = NDArray[np.float32]

LIMIT = 10.0  # either way


class SliderValues(dict[str, float]):
    """Wishes for sliders, checked and frozen: key (a name, or a number from 1 as text) -> value in -10..10.

    A dict that JSON knows how to write, that does not change, and that can be hashed. Which keys a model has is
    checked where a model is at hand, by `Sliders.values`. Raises InvalidValue for what no model could take.
    """

    def __init__(self, wishes: Any = ()) -> None:
        try:
            pairs = dict(wishes)
        except (TypeError, ValueError):
            raise InvalidValue(f"sliders is {wishes!r}; it must map names to values, such as "
                               "{'brightness': 2}") from None
        checked: dict[str, float] = {}
        for key, value in pairs.items():
            name = _key(key)
            if name in checked:
                raise InvalidValue(f"slider {name} is set twice")
            checked[name] = _value(name, value)
        super().__init__(sorted(checked.items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[type[SliderValues], tuple[dict[str, float]]]:
        return SliderValues, (dict(self),)

    def _frozen(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("slider values cannot be changed; make new ones")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _frozen


class Sliders:
    """The sliders of one model."""

    def __init__(self, sidecar: Sidecar) -> None:
        pca = sidecar.latent.pca
        self.names = tuple(control.name for control in sidecar.controls)
        self._other_names = {f"pc{control.component + 1}": i for i, control in enumerate(sidecar.controls)}
        self._axes = np.array([np.multiply(pca.components[c.component], c.sign) for c in sidecar.controls],
                              np.float64).reshape(len(self.names), sidecar.latent.dim)
        self._ends = [(c.low - c.mid, c.high - c.mid) for c in sidecar.controls]

    def index(self, key: str) -> int:
        """Which slider, from 0, a name or a number from 1 means; `pc2` is the second axis, whatever it is called.

        Raises InvalidValue that lists the sliders there are.
        """
        name = _key(key)
        if name in self.names:
            return self.names.index(name)
        if name in self._other_names:
            return self._other_names[name]
        numbers = [str(number) for number in range(1, len(self.names) + 1)]
        if name in numbers:
            return numbers.index(name)
        if not self.names:
            raise InvalidValue(f"no slider {key!r}: this model has none")
        raise InvalidValue(f"no slider {key!r}{did_you_mean(name, self.names) or ';'} this model has "
                           f"{', '.join(f'{i}: {n}' for i, n in enumerate(self.names, 1))}")

    def values(self, wishes: Mapping[str, float]) -> NDArray[np.float64]:
        """Every slider's value, [sliders]; 0 for those not named. Raises InvalidValue."""
        result = np.zeros(len(self.names))
        seen: dict[int, str] = {}
        for key, value in SliderValues(wishes).items():
            at = self.index(key)
            if at in seen:
                raise InvalidValue(f"slider {self.names[at]} is set twice, as {seen[at]} and as {key}")
            seen[at], result[at] = key, value
        return result

    def named(self, wishes: Mapping[str, float]) -> SliderValues:
        """The same wishes by name alone. Raises InvalidValue for a slider that the model does not have."""
        self.values(wishes)
        return SliderValues({self.names[self.index(key)]: value for key, value in wishes.items()})

    def own(self, wishes: Mapping[str, float]) -> SliderValues:
        """Those of the wishes that this model has a slider for: in a blend, each model takes its own."""
        return SliderValues({key: value for key, value in wishes.items() if self._has(key)})

    def _has(self, key: str) -> bool:
        try:
            return self.index(key) >= 0
        except InvalidValue:
            return False

    def offset(self, values: ArrayLike) -> Array:
        """values: [sliders], or [sliders, frames] -> what to add to latents, [latent_dim, 1 or frames]."""
        positions = np.asarray(values, np.float64)
        positions = positions[:, None] if positions.ndim == 1 else positions
        along = np.empty_like(positions)
        for row, position, (low, high) in zip(along, positions, self._ends, strict=True):
            row[:] = np.interp(position, (-LIMIT, 0.0, LIMIT), (low, 0.0, high))
        result: Array = (self._axes.T @ along).astype(np.float32)
        return result

    def drawn(self, seed: int, held: Mapping[str, float] | None = None) -> SliderValues:
        """Random positions, the same for the same seed; sliders in `held` stay where they are.

        Normal, with 3 as standard deviation: a surprise, but seldom the very end of several sliders at once. One
        digit after the point, so that what is told can be typed again. Raises InvalidValue where there are no sliders.
        """
        if not self.names:
            raise InvalidValue("there is nothing to randomize: this model has no sliders")
        drawn = 3.0 * Rng((seed, 0x511DE)).normal(len(self.names)).astype(np.float64)
        drawn = np.clip(np.round(drawn, 1), -LIMIT, LIMIT) + 0.0
        return SliderValues({**dict(zip(self.names, drawn.tolist(), strict=True)), **self.named(held or {})})


def _key(key: object) -> str:
    if isinstance(key, str) and key.strip():
        return key.strip().casefold()
    if isinstance(key, int) and not isinstance(key, bool) and key >= 1:
        return str(key)
    raise InvalidValue(f"a slider is called {key!r}; it must be a name, or a number from 1")


def _value(name: str, value: object) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not abs(value) <= LIMIT:  # type: ignore[arg-type]
        raise InvalidValue(f"slider {name} is {value!r}; it must be a number from {-LIMIT:g} to {LIMIT:g}")
    return float(value) + 0.0  # type: ignore[arg-type]
