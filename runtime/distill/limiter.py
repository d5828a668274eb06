"""A look-ahead limiter: nothing leaves it above the ceiling, and what is under it leaves it untouched.

With x the input and c the ceiling, sample n may be played at most at the gain  q[n] = min(1, c / |x[n]|). All gains
are in nepers (logarithms), where 0 is none. With a look-ahead of L samples:

    m[n] = min(q[n], ..., q[n + L])              the need of the near future
    r[n] = min(m[n], r[n - 1] + release)         back at a constant rate, dB per second
    s[n] = w[0] r[n] + ... + w[L] r[n - L]       smoothed; the weights are positive and add up to one

Each r[n - j] in the sum is at most m[n - j], whose window n - j ... n - j + L holds n, so s[n] <= q[n]: the ceiling
holds for every sample, with no step in the gain. The recursion for r is a running minimum of m[n] - n * release, which
numpy has. Where all q are 0, s is exactly 0 and the gain exactly 1.

Work is done on a fixed grid of blocks, so pieces of any size give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

CEILING_DB = -1.0
_LOOK_AHEAD_SECONDS = 0.005
_RELEASE_DB_PER_SECOND = 24.0
_BLOCK = 4096  # samples


class Limiter:
    """Samples in, the same samples, limited, out; `flush` gives the ones that waited for what follows.

    Joined, the results are as long as what was pushed and not shifted. Channels share one gain, so the image stays.
    """

    def __init__(self, sample_rate: int, ceiling_db: float = CEILING_DB, block: int = _BLOCK) -> None:
        """block: samples of the grid; a small one gives samples out sooner and takes more time."""
        self._block = block
        self._ceiling = np.float32(10 ** (ceiling_db / 20))
        self._ahead = max(1, round(_LOOK_AHEAD_SECONDS * sample_rate))
        self._release = _RELEASE_DB_PER_SECOND * math.log(10) / 20 / sample_rate  # nepers per sample
        self._weights = np.hanning(self._ahead + 3)[1:-1]
        self._weights /= self._weights.sum()
        self._past = np.zeros(self._ahead)  # r of the samples before the block
        self._held: Array | None = None  # input from the block's first sample on

    def push(self, audio: Array) -> Array:
        """[..., samples] -> [..., the samples that are done]."""
        self._held = audio if self._held is None else np.concatenate([self._held, audio], axis=-1)
        done = [self._held[..., :0]]
        while self._held.shape[-1] >= self._block + self._ahead:
            done.append(self._limit(self._held[..., :self._block + self._ahead], self._block))
            self._held = self._held[..., self._block:]
        return np.concatenate(done, axis=-1)

    def flush(self) -> Array:
        """The rest; the next push begins another sound."""
        rest = np.empty(0, np.float32) if self._held is None else self._held
        done = [rest[..., :0]]
        for start in range(0, rest.shape[-1], self._block):
            part = rest[..., start:start + self._block + self._ahead]
            done.append(self._limit(part, min(self._block, rest.shape[-1] - start)))
        self._held, self._past = None, np.zeros(self._ahead)
        return np.concatenate(done, axis=-1)

    def _limit(self, part: Array, count: int) -> Array:
        """The first `count` samples of `part`, which holds what lies up to the look-ahead behind them too."""
        peak = np.abs(part)
        if peak.ndim > 1:
            peak = peak.max(axis=tuple(range(peak.ndim - 1)))
        if not self._past.any() and float(peak.max()) <= self._ceiling:
            return part[..., :count]
        need = np.zeros(self._block + self._ahead)
        loud = peak > self._ceiling
        need[:len(peak)][loud] = np.log(np.float64(self._ceiling) / peak[loud])
        need = _minimum_ahead(need, self._ahead + 1)
        climb = self._release * np.arange(1, self._block + 1)
        gain = np.minimum.accumulate(need - climb)
        gain = np.minimum(gain, self._past[-1]) + climb
        gain = np.minimum(np.minimum(gain, need), 0.0)
        joined = np.concatenate([self._past, gain])
        self._past = joined[len(joined) - self._ahead:]
        smooth = np.exp(np.convolve(joined, self._weights, "valid"))
        limited: Array = part[..., :count] * smooth[:count].astype(np.float32)
        return np.clip(limited, -self._ceiling, self._ceiling)  # the last bit of rounding


def limited(pieces: Iterable[Array], sample_rate: int, block: int | None = None) -> Iterator[Array]:
    """The same samples [..., any], none above the ceiling."""
    limiter = Limiter(sample_rate, block=block or _BLOCK)
    for piece in pieces:
        yield limiter.push(piece)
    yield limiter.flush()


def _minimum_ahead(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Minimum of `width` values from each on, [n] -> [n - width + 1]; windows double until they are wide enough."""
    have = 1
    while have < width:
        step = min(have, width - have)
        values = np.minimum(values[:-step], values[step:])
        have += step
    return values
