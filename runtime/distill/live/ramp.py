"""Values that are told where to go, and go there in a straight line."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


class Ramp:
    """Some values that reach a target in `steps` steps, from wherever they are. At rest they are the target, exactly.

    A jump in a control would be a jump in the sound; a straight line of some 50 ms is neither heard as a click nor
    as a glide.
    """

    def __init__(self, values: ArrayLike, steps: int) -> None:
        self._from = self._to = np.array(values, np.float64)
        self._steps = max(1, steps)
        self._done = self._steps

    @property
    def at_rest(self) -> bool:
        """Whether the values have arrived."""
        return self._done == self._steps

    @property
    def left(self) -> int:
        """Steps until they have."""
        return self._steps - self._done

    def go(self, target: ArrayLike) -> None:
        """Begin to move towards `target`; does nothing where that is the target already."""
        wanted = np.array(target, np.float64)
        if np.array_equal(wanted, self._to):
            return
        self._from = self._at(np.array([self._done]))[:, 0]
        self._to, self._done = wanted, 0

    def take(self, count: int) -> Doubles:
        """The values at the next `count` steps, [values, count]."""
        values = self.ahead(count)
        self.skip(count)
        return values

    def skip(self, count: int) -> None:
        """Go on by `count` steps."""
        self._done = min(self._done + count, self._steps)

    def ahead(self, count: int) -> Doubles:
        """What `take` would give if the target stayed, [values, count]."""
        if self.at_rest:
            return np.repeat(self._to[:, None], count, axis=1)
        return self._at(np.minimum(self._done + np.arange(1, count + 1), self._steps))

    def _at(self, steps: NDArray[np.int64]) -> Doubles:
        share = steps / self._steps
        line = self._from[:, None] + (self._to - self._from)[:, None] * share
        result: Doubles = np.where(share == 1, self._to[:, None], line)
        return result
