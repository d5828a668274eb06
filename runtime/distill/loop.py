"""Sounds whose end meets their beginning.

A loop is cut out of a longer sound, and its end is led to what came just before its beginning, in two steps:

    longer sound   |--- lead ---|------------- loop -------------|
    spectrogram                  ........................x========   x: the end fades into the lead, by `mixed`
                                                                     =: it *is* the lead
    samples                      .............................>>>>   >: the phases turn to those of the lead

The lead is played first, then the loop, then its beginning once more; that is what `closed` makes of a stream of
spectrogram pieces, and everything that follows (phase, gain, stereo, limiter) works on the whole of it without knowing.
Where the end of the loop is the lead, the two have one spectrogram and differ in phase alone. `sealed` cuts the loop
out and turns these phases, after which the last sample of the loop is the last one before its first.

Turning the phases. With A(k, t) and B(k, t) the transforms of lead and end, the angle C(k) = arg sum_t A B* is that by
which the partial in bin k is ahead in A. B is turned by w(t) C(k) and A by (w(t) - 1) C(k) before they are mixed with
weights 1 - w and w: they agree in phase throughout, so nothing cancels, and turning by at most half a turn in a
quarter of a second bends no partial by more than 2 Hz. The bins of a peak share its angle, else their turns would
differ by whole turns. Bins that do not agree (noise) are mixed so that their power stays: |Z|^2 of the mix is
(1 - w)^2 + w^2 + 2 w (1 - w) g, with g the coherence |sum A B*| / sqrt(sum |A|^2 sum |B|^2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .arrays import namespace
from .dsp.overlap import mixed, rising
from .errors import InvalidValue
from .spec import SpectrogramSpec

Array = NDArray[np.float32]

SHORTEST, LONGEST = 0.5, 600.0  # seconds
_LEAD = 0.7  # seconds; of a short loop at most half
_MARGIN = 4096  # samples of a loop's copies that a resampler sees, at least
_WINDOW = 0.05  # seconds, at most, of the transform in which phases are turned


def check_loop(total: int | None, sample_rate: int) -> int:
    """`total` in samples, if a loop can be so long. Raises InvalidValue."""
    if total is None:
        raise InvalidValue("a loop has an end: loop needs seconds")
    if not SHORTEST <= total / sample_rate <= LONGEST:
        raise InvalidValue(f"seconds is {total / sample_rate:g}; a loop must last from {SHORTEST:g} to {LONGEST:g} s")
    return total


def lead_of(total: int, sample_rate: int) -> int:
    """Samples before a loop of `total` samples that are made along with it; after it, about half as many are."""
    return min(round(_LEAD * sample_rate), total // 2)


class LoopFrames:
    """A loop of `total` samples as frames of a spectrogram."""

    def __init__(self, spec: SpectrogramSpec, total: int) -> None:
        """Raises InvalidValue where the frames are too long for so short a loop."""
        hop, lead = spec.hop_length, lead_of(total, spec.sample_rate)
        self.loop = round(total / hop)
        self.lead = -(-lead // hop)
        self.fade = self.lead // 2
        self.kept = self.lead + self.lead // 2 + 2  # the lead, and what is made once more after the end
        self.surplus = self.lead * hop - lead  # samples before the lead
        if self.fade < 1 or self.kept > self.loop:
            raise InvalidValue(f"seconds is {total / spec.sample_rate:g}; too short for a loop of this model's frames")

    @property
    def needed(self) -> int:
        """Frames of the longer sound that the loop is made of."""
        return self.loop + self.fade


def closed(pieces: Iterator[Any], frames: LoopFrames) -> Iterator[Any]:
    """Pieces [2, n_mels, any] of the longer sound -> of the lead, the loop, and its beginning again."""
    kept: list[Any] = []  # the lead, and the beginning of the loop
    have, position = 0, 0
    first: Any = None
    rise = rising(frames.fade)
    for piece in pieces:
        piece = piece[:, :, :min(frames.needed - position, piece.shape[2])]
        if have < frames.kept:
            kept.append(piece[:, :, :min(frames.kept - have, piece.shape[2])])
            have += kept[-1].shape[2]
        plain = max(0, min(piece.shape[2], frames.loop - position))
        if plain:
            yield piece[:, :, :plain]
        if plain < piece.shape[2]:
            first = namespace(kept[0]).concat(kept, axis=2) if first is None else first
            at = position + plain - frames.loop
            part = slice(at, at + piece.shape[2] - plain)
            yield mixed(piece[:, :, plain:], first[:, :, part], rise[part])
        position += piece.shape[2]
        if position == frames.needed:
            break
    assert first is not None and position == frames.needed, "the longer sound ended too soon"
    yield first[:, :, frames.fade:]


def dropped(pieces: Iterator[Array], count: int) -> Iterator[Array]:
    """Pieces [..., any] without the first `count` samples."""
    for piece in pieces:
        yield piece[..., min(count, piece.shape[-1]):]
        count -= min(count, piece.shape[-1])


def sealed(pieces: Iterator[Array], total: int, sample_rate: int) -> Iterator[Array]:
    """Samples [..., any] of lead, loop and what follows -> the loop, [..., total] in all, its end turned to meet it."""
    lead = lead_of(total, sample_rate)
    window = 1 << int(math.log2(_WINDOW * sample_rate))
    turn = max(window, lead // 2 - window)  # samples before the end in which phases turn
    reach = turn + window + window // 2  # samples before a seam that are looked at, and `window` after it
    before: list[Array] = []
    around: list[Array] = []
    at = -lead  # of the next piece; the loop begins at 0
    stop = total - turn - window // 2  # from here on the end is changed
    for piece in pieces:
        count = piece.shape[-1]
        if at < window:
            before.append(piece[..., max(0, -reach - at):max(0, window - at)])
        ready = piece[..., max(0, -at):max(0, stop - at)]
        if ready.shape[-1]:
            yield ready
        if at + count > total - reach:
            around.append(piece[..., max(0, total - reach - at):max(0, total + window - at)])
        at += count
        if at >= total + window:
            break
    start, end = np.concatenate(before, axis=-1), np.concatenate(around, axis=-1)
    turned = _turned(end.reshape(-1, end.shape[-1]), start.reshape(-1, start.shape[-1]), window, turn)
    yield turned.reshape(end.shape)[..., window:reach]


def _turned(end: Array, start: Array, window: int, turn: int) -> Array:
    """`end` [channels, reach + window] led over to `start`, of the same shape, from `turn` samples before the seam."""
    spec = SpectrogramSpec(sample_rate=48_000, n_fft=window, hop_length=window // 4, n_mels=16)
    samples = end.shape[1]
    seam = samples - window
    centres = np.arange(spec.frames(samples)) * spec.hop_length - seam
    turned_by = -window / 2 - spec.hop_length  # frames from here on are all `start`: so are the last samples
    share = np.clip((centres + turn) / (turn + turned_by), 0, 1)
    weight = 0.5 - 0.5 * np.cos(np.pi * share)
    result = np.empty_like(end)
    for channel, (b_sound, a_sound) in enumerate(zip(end, start, strict=True)):
        b, a = dsp.stft(b_sound, spec).astype(np.complex128), dsp.stft(a_sound, spec).astype(np.complex128)
        within = (centres >= -turn) & (centres <= turned_by)
        cross = (a[:, within] * np.conj(b[:, within])).sum(axis=1)
        power = [np.square(np.abs(x[:, within])).sum(axis=1) for x in (a, b)]
        angle = _shared_angle(cross, power[0] + power[1])[:, None]
        coherence = (np.abs(cross) / np.maximum(np.sqrt(power[0] * power[1]), 1e-30))[:, None]
        mix = (1 - weight) * b * np.exp(1j * weight * angle) + weight * a * np.exp(1j * (weight - 1) * angle)
        mix /= np.sqrt((1 - weight) ** 2 + weight ** 2 + 2 * weight * (1 - weight) * np.minimum(coherence, 1))
        sound = dsp.istft(mix.astype(np.complex64), spec, samples)
        limit = max(float(np.abs(b_sound).max()), float(np.abs(a_sound).max()))
        result[channel] = np.clip(sound, -limit, limit)
    return result


def _shared_angle(cross: NDArray[np.complex128], power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle of each bin of `cross` [bins], within half a turn of that of the peak of `power` it belongs to."""
    angle = np.angle(cross)
    inner = power[1:-1]
    peaks = 1 + np.flatnonzero((inner > power[:-2]) & (inner >= power[2:]))
    if len(peaks) == 0:
        return angle
    valleys = [int(low + np.argmin(power[low:high])) for low, high in zip(peaks[:-1], peaks[1:], strict=True)]
    owner = peaks[np.searchsorted(valleys, np.arange(len(power)), side="left")]
    apart = angle - angle[owner]
    return angle[owner] + apart - 2 * np.pi * np.round(apart / (2 * np.pi))


def loop_at_rate(loop: Array, samples: int) -> Array:
    """A loop [..., n] -> the same loop as [..., samples], which is as long at another rate.

    It is resampled between copies of itself, by exactly samples / n, so that the result meets itself as well.
    """
    import soxr

    count = loop.shape[-1]
    unit = count // math.gcd(count, samples)  # so many samples become a whole number of new ones
    margin = min(count, unit * -(-_MARGIN // unit))
    extended = np.concatenate([loop[..., count - margin:], loop, loop[..., :margin]], axis=-1)
    result: Array = soxr.resample(extended.T, count, samples, quality="VHQ").T
    first = margin * samples // count
    return np.ascontiguousarray(result[..., first:first + samples])
