"""Headphones: the two channels as loudspeakers around a listener whose head is a hard sphere.

For each ear and each loudspeaker, with theta the angle between the ear and the direction of the loudspeaker, a the
head's radius and c the speed of sound:

    delay    -(a / c) cos(theta)               theta under 90 degrees, relative to the middle of the head
              (a / c) (theta - pi / 2)         beyond: round the sphere
    shadow   (1 + j w alpha / 2 w0) / (1 + j w / 2 w0)        w0 = c / a
             alpha = 1.05 + 0.95 cos(theta * 180 / 150)

The delay is Woodworth's (Experimental Psychology, 1938), the shadow is the one-pole, one-zero fit to Rayleigh's sphere
of Brown and Duda, "A structural model for binaural sound synthesis", IEEE Trans. Speech and Audio 6(5), 1998,
equations 2 to 5: twice the pressure for a high note in front of the ear, a tenth of it behind the head, one for low
notes everywhere. A sphere has no outer ear, so there is left and right but hardly front and back, and no height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .blockfilter import BlockFilter
from .stereo import channel_scale

Array = NDArray[np.float32]

HEAD_RADIUS_M = 0.0875
SOUND_M_PER_S = 343.0
EAR_DEGREES = 100.0  # to either side of the nose: a little behind the middle
SPREAD_DEGREES = 30.0  # of each loudspeaker from the middle, at width 1
_SHADOW_DEGREES = 150.0  # where it is deepest
_HOP_SECONDS, _STILL_HOP_SECONDS = 0.01, 0.04  # so often a moving source is placed anew
_AHEAD_SECONDS = 0.001  # room for the ringing of delays by parts of a sample
_TAIL_SECONDS = 0.006  # of the shadow's pole and the delays
_TOP = 0.92  # of half the sample rate: the response ends softly above, so that the ringing is short


class Head:
    """[2, samples] in, the two channels; [2, samples] out, the two ears.

    azimuth: degrees of the middle between the loudspeakers: 0 in front, 90 right, -90 left, 180 behind. turn: degrees
    a second by which it moves, to the right where positive. width: of the pair; 0 is one point.
    """

    def __init__(self, sample_rate: int, azimuth: float, turn: float, width: float, hop: int | None = None) -> None:
        """hop: samples that are filtered at a time, a power of two; few come out sooner and take more time."""
        hop = hop or 1 << round((_HOP_SECONDS if turn else _STILL_HOP_SECONDS) * sample_rate).bit_length()
        ahead = round(_AHEAD_SECONDS * sample_rate)
        size = 1 << (2 * hop + ahead + round(_TAIL_SECONDS * sample_rate)).bit_length()
        frequency = np.arange(size // 2 + 1) * sample_rate / size
        ends = np.clip((frequency / (sample_rate / 2) - _TOP) / (1 - _TOP), 0, 1)
        common = (0.5 + 0.5 * np.cos(np.pi * ends)) * np.exp(-2j * np.pi * frequency * ahead / sample_rate)
        common /= 2 * channel_scale(width)  # low notes of the mid come through both loudspeakers as they were
        spread = np.array([-SPREAD_DEGREES, SPREAD_DEGREES]) * width

        def response(frame: int) -> NDArray[np.complex64]:
            middle = azimuth + turn * (frame * hop / sample_rate)  # a frame's window is highest there
            placed: NDArray[np.complex64] = (ears(frequency, middle + spread) * common).astype(np.complex64)
            return placed

        self._filter = BlockFilter(hop, size, response if turn else response(0), ahead)

    def push(self, audio: Array) -> Array:
        """The next samples -> [2, those that are done]."""
        return self._filter.push(audio)

    def flush(self) -> Array:
        """The rest; the next push begins another sound."""
        return self._filter.flush()


def ears(frequency_hz: NDArray[np.float64], azimuths: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Transfer functions from sources at `azimuths` (degrees) to the left and the right ear, [2, sources, bins].

    All are delayed by the time that sound takes for the head's radius, which makes them causal.
    """
    apart = np.asarray(azimuths)[None, :] - np.array([-EAR_DEGREES, EAR_DEGREES])[:, None]
    theta = np.abs((apart + 180) % 360 - 180)[:, :, None]
    crossing = HEAD_RADIUS_M / SOUND_M_PER_S  # seconds
    radians = np.radians(theta)
    delay = crossing * (1 + np.where(theta < 90, -np.cos(radians), radians - np.pi / 2))
    alpha = 1.05 + 0.95 * np.cos(np.pi * theta / _SHADOW_DEGREES)
    turn = 1j * 2 * np.pi * frequency_hz
    half = turn * crossing / 2
    result: NDArray[np.complex128] = (1 + alpha * half) / (1 + half) * np.exp(-turn * delay)
    return result


def at_the_ears(pieces: Iterable[Array], sample_rate: int, azimuth: float, turn: float,
                width: float, hop: int | None = None) -> Iterator[Array]:
    """Pieces [2, any] for loudspeakers -> pieces [2, any] for headphones, of the same length in all."""
    head = Head(sample_rate, azimuth, turn, width, hop)
    for piece in pieces:
        yield head.push(piece)
    yield head.flush()
