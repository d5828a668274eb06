"""Width: two channels that differ, from a sound (mid) and its companion (side), and add up to the sound again.

    left  = (mid + g * side) / sqrt(1 + g^2)        g = 0.7 * width
    right = (mid - g * side) / sqrt(1 + g^2)

Left + right is the mid, whatever the side: nothing can cancel when a player makes it mono. The power of a channel does
not depend on the width as long as mid and side do not correlate, and that is what the filter on the side is for: the
companion may be nearly the same sound. As an all-pass filter it turns the side's phase by phi(f):

    phi = -pi e - 0.45 sin(2 pi e)                  e: number of bands of the ear (ERB) below f

Around e = 1/2, 3/2, 5/2 ... it stands near -90, -270, -450 ... degrees. At a right angle neither channel is louder
than the other and mid and side do not correlate; in neighbouring bands of the ear the side runs ahead and behind in
turn, which leaves no direction. A straight line in place of the steps (one turn for two bands) also decorrelates, but
puts single partials to one side: the median difference between the channels of a vibraphone, over 100 ms, was 7 dB
with the line and 3 dB with the steps. Last, the side is held to the level of the mid, measured over some 150 ms.

Sources. An all-pass as the side of a mid: Orban, JAES 18(2), 1970. One turn of phase for so many bands of the ear:
Kendall, Computer Music Journal 19(4), 1995. The bands: Glasberg and Moore, Hearing Research 47, 1990, equation 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .blockfilter import BlockFilter

Array = NDArray[np.float32]

SIDE = 0.7  # level of the side at width 1: the mono sum is then 1.7 dB under a channel
_STEPS = 0.45  # 0: phi is a line; 0.5: it stands still at the right angles
# Reach of the filter's response. The slope of phi is at most 38 ms, at 20 Hz, 7 ms at 1 kHz and under 1 ms at 10 kHz,
# so attacks stay sharp; the sine in it also sends a twentieth of the energy ahead, half as far.
_AFTER_SECONDS, _AHEAD_SECONDS = 0.06, 0.03
_HOP_SECONDS = 0.04
_BALANCE_SECONDS = 0.15  # over which the levels of mid and side are compared


class Widener:
    """Mid and side in, [2, samples] out. Width 0 is the mid, twice, bit for bit."""

    def __init__(self, sample_rate: int, width: float, hop: int | None = None) -> None:
        """hop: samples that are filtered at a time, a power of two; few come out sooner and take more time."""
        self._gain = np.float32(SIDE * width)
        self._scale = np.float32(channel_scale(width))
        self._hop = hop or 1 << round(_HOP_SECONDS * sample_rate).bit_length()
        self._filter = _quadrature(sample_rate, self._hop)
        self._keep = math.exp(-self._hop / (_BALANCE_SECONDS * sample_rate))
        self._reset()

    def _reset(self) -> None:
        self._mid = self._side = np.empty(0, np.float32)  # wait for each other, and for a whole hop
        self._powers = (0.0, 0.0)  # of mid and side, lately
        self._share: float | None = None  # of the side that is heard

    def push(self, mid: Array, side: Array) -> Array:
        """The next samples of each, [samples] -> [2, those that are done]."""
        return self._mixed(mid, self._filter.push(side[None])[0], False)

    def flush(self) -> Array:
        """The rest; the next push begins another sound."""
        rest = self._mixed(self._mid[:0], self._filter.flush()[0], True)
        self._reset()
        return rest

    def _mixed(self, mid: Array, side: Array, end: bool) -> Array:
        self._mid, self._side = np.concatenate([self._mid, mid]), np.concatenate([self._side, side])
        count = len(self._side) if end else len(self._side) - len(self._side) % self._hop
        mid, self._mid = self._mid[:count], self._mid[count:]
        side, self._side = self._side[:count], self._side[count:]
        if self._gain == 0:
            return np.stack([mid, mid])
        parts = [self._balanced(mid[i:i + self._hop], side[i:i + self._hop]) for i in range(0, count, self._hop)]
        side = np.concatenate([side[:0], *parts]) * self._gain
        return np.stack([mid + side, mid - side]) * self._scale

    def _balanced(self, mid: Array, side: Array) -> Array:
        """One hop of the side, no louder than the mid: a side alone would be hollow, and gone in mono."""
        keep = self._keep
        now = [float(np.vdot(sound, sound)) / len(sound) for sound in (mid, side)]
        self._powers = (keep * self._powers[0] + (1 - keep) * now[0], keep * self._powers[1] + (1 - keep) * now[1])
        share = math.sqrt(min(1.0, self._powers[0] / max(self._powers[1], 1e-20)))
        before, self._share = share if self._share is None else self._share, share
        if before == share == 1.0:
            return side
        return side * np.linspace(before, share, self._hop + 1, dtype=np.float32)[1:len(side) + 1]


def channel_scale(width: float) -> float:
    """How much of the mid is in each channel."""
    return 1 / math.hypot(1, SIDE * width)


def widened(mids: Iterable[Array], sides: Iterable[Array], sample_rate: int, width: float,
            hop: int | None = None) -> Iterator[Array]:
    """Pieces of mid and side, in any sizes but of the same length in all -> pieces [2, any]."""
    widener = Widener(sample_rate, width, hop)
    for mid, side in together(mids, sides):
        yield widener.push(mid, side)
    yield widener.flush()


def together(first: Iterable[Array], second: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
    """Two sounds in pieces [any], cut so that the pieces are equally long; ends with the shorter sound."""
    nothing = np.empty(0, np.float32)
    waiting, others = nothing, iter(second)
    for piece in first:
        while len(waiting) < len(piece):
            more = next(others, None)
            if more is None:
                break
            waiting = np.concatenate([waiting, more])
        count = min(len(piece), len(waiting))
        yield piece[:count], waiting[:count]
        if count < len(piece):
            return
        waiting = waiting[count:]


def phase(frequency_hz: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """phi in radians; e is stretched so that it is a whole number, and phi that of a real filter, at half the rate."""
    top = _bands_of_the_ear(np.array(sample_rate / 2))
    e = _bands_of_the_ear(frequency_hz) * np.round(top) / top
    turned: NDArray[np.float64] = -np.pi * e - _STEPS * np.sin(2 * np.pi * e)
    return turned


def _bands_of_the_ear(below_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    count: NDArray[np.float64] = 21.4 * np.log10(1 + 0.00437 * below_hz)
    return count


def _quadrature(sample_rate: int, hop: int) -> BlockFilter:
    ahead = round(_AHEAD_SECONDS * sample_rate)
    size = 1 << (hop + ahead + round(_AFTER_SECONDS * sample_rate)).bit_length()
    return BlockFilter(hop, size, _response(sample_rate, size, ahead), ahead)


@lru_cache(maxsize=8)
def _response(sample_rate: int, size: int, ahead: int) -> NDArray[np.complex64]:
    """exp(i phi), delayed by `ahead` samples, at the transform's frequencies, [1, 1, size / 2 + 1].

    What lies outside the filter's reach (some -35 dB below 100 Hz) is cut off: the transform would wrap it round.
    """
    bins = np.arange(size // 2 + 1)
    turned = phase(bins * sample_rate / size, sample_rate) - 2 * np.pi * bins * ahead / size
    response = np.fft.irfft(np.exp(1j * turned), size)
    response[ahead + round(_AFTER_SECONDS * sample_rate):] = 0
    result: NDArray[np.complex64] = np.fft.rfft(response).astype(np.complex64)
    return result[None, None]
