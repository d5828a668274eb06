"""Random numbers: those of a seed, in whole arrays, from a few lines that any language can repeat.

The n-th number of a stream is a mix of the bits of start + n * 2^64 / golden ratio: SplitMix64 (Steele, Lea & Flood,
"Fast splittable pseudorandom number generators", 2014). numpy's own generators take 10 ms to import, for which a second
of sound is made.
"""

from __future__ import annotations

import math
import operator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Seed = tuple[int, ...]  # whole numbers, 0 or more: each sequence of them starts a stream of its own

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1
_UNIT = 2.0**-53


class Rng:
    """The stream of a seed. Raises TypeError or ValueError where that is no whole number, or below 0."""

    def __init__(self, seed: Seed) -> None:
        self._state = 0
        for number in map(operator.index, seed):
            if number < 0:
                raise ValueError(f"a seed is {number}; it must be 0 or more")
            words = max(1, -(-number.bit_length() // 64))
            self._state = _mixed(self._state + words * GOLDEN)
            for word in range(words):
                self._state = _mixed(self._state ^ (number >> 64 * word & _MASK))

    def bits(self, count: int) -> NDArray[np.uint64]:
        """The next numbers, [count], each of 64 random bits."""
        z = np.arange(1, count + 1, dtype=np.uint64)
        z *= np.uint64(GOLDEN)
        z += np.uint64(self._state)
        self._state = (self._state + count * GOLDEN) & _MASK
        z ^= z >> np.uint64(30)
        z *= np.uint64(_FIRST)
        z ^= z >> np.uint64(27)
        z *= np.uint64(_SECOND)
        z ^= z >> np.uint64(31)
        return z

    def normal(self, count: int) -> Array:
        """`count` of the standard normal distribution (Box & Muller, 1958); 3 and then 5 are not the same as 8."""
        first, second = (self.bits(2 * -(-count // 2)) >> np.uint64(11)).reshape(2, -1)
        radius = np.sqrt(-2 * np.log((first + np.uint64(1)) * _UNIT))
        angle = second * (2 * math.pi * _UNIT)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(np.float32)

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1."""
        return self._next() * bound >> 64

    def uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return low + (high - low) * (self._next() >> 11) * _UNIT

    def exponential(self, mean: float) -> float:
        """How long it takes until something happens that happens every `mean` on average."""
        return -mean * math.log(((self._next() >> 11) + 1) * _UNIT)

    def permutation(self, count: int) -> list[int]:
        """0 to count - 1 in any order (Fisher & Yates)."""
        result = list(range(count))
        for last in range(count - 1, 0, -1):
            chosen = self.below(last + 1)
            result[last], result[chosen] = result[chosen], result[last]
        return result

    def _next(self) -> int:
        self._state = (self._state + GOLDEN) & _MASK
        return _mixed(self._state)


def _mixed(number: int) -> int:
    z = number & _MASK
    z = (z ^ z >> 30) * _FIRST & _MASK
    z = (z ^ z >> 27) * _SECOND & _MASK
    return z ^ z >> 31
