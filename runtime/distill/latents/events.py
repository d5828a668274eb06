"""Sounds that begin when a clock says so: the corpus's onsets, played so many times a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from distill.errors import InvalidValue
from distill.prior import Prior
from distill.rng import Rng, Seed

from .onsets import LEAD, RISE_DB, Onsets

Array = NDArray[np.float32]

_IRREGULAR = 0.3  # gaps are so much longer or shorter than their mean, at most
_FADE_SECONDS = 0.4  # from where a recorded sound is cut off by its successor to the corpus's quietest moment
_AT_LEAST = 4  # onsets to choose from, where the corpus has them


class Clock:
    """Latent frames in which sounds begin, endless; `since` may be asked again, for later and later frames."""

    def __init__(self, density: float, rate_hz: float, seed: Seed) -> None:
        """density: sounds a second. Raises InvalidValue for more than one in three latent frames."""
        if density > rate_hz / 3:
            raise InvalidValue(f"density is {density:g}; this model's latents can begin {rate_hz / 3:.3g} sounds a "
                               "second at most")
        self._gap = rate_hz / density
        self._rng = Rng(seed)
        self._time = float(LEAD)
        self._events = deque([LEAD])

    def since(self, frame: int) -> Iterator[int]:
        """The last event at or before `frame` (or the first there is), and all later ones, relative to `frame`."""
        while len(self._events) < 2 or self._events[1] <= frame:
            self._add()
            if self._events[1] <= frame:
                self._events.popleft()
        return self._follow(frame)

    def once(self) -> Iterator[int]:
        """What `since(0)` gives, for whoever asks no more: what is past is forgotten."""
        while True:
            if not self._events:
                self._add()
            yield self._events.popleft()

    def _follow(self, frame: int) -> Iterator[int]:
        index = 0
        while True:
            if index == len(self._events):
                self._add()
            yield self._events[index] - frame
            index += 1

    def _add(self) -> None:
        self._time += self._gap * (1 + _IRREGULAR * self._rng.uniform(-1, 1))
        self._events.append(round(self._time))


class Struck:
    """Corpus latents: at each event one of the corpus's sounds begins.

    A sound lasts until the next event. Where its recording goes on to its next onset, or ends, before that, it is
    left to sink to the quietest moment of the corpus: nothing begins that was not asked for.
    """

    def __init__(self, prior: Prior, onsets: Onsets, rate_hz: float, seed: Seed,
                 events: Iterator[int], near: int | None = None) -> None:
        """events: frames, rising, the first of them at most LEAD. near: the recording the first sound comes from.

        Raises InvalidValue where the corpus, or the recording, has no onsets.
        """
        need_onsets(prior, onsets, rate_hz, near)
        self._prior, self._onsets, self._events = prior, onsets, events
        self._rng = Rng(seed)
        self._quiet = prior.at(int(np.argmin(prior.level)))
        self._fade = max(2, round(_FADE_SECONDS * rate_hz))
        self._near = near
        self._frame, self._last = 0, -1  # now; index of the onset that sounds
        self._event, self._next = next(events), next(events)
        self._position = self._begin = self._stop = 0
        self._strike()
        self._position -= self._event - LEAD  # an event before the start has been sounding for a while

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""
        out = np.empty((len(self._quiet), frames), np.float32)
        for t in range(frames):
            out[:, t] = self._step()
        return out

    def _step(self) -> Array:
        if self._frame >= self._next - LEAD:
            self._event, self._next = self._next, next(self._events)
            self._strike()
        latent = self._at(self._position)
        self._position += 1
        self._frame += 1
        return latent

    def _strike(self) -> None:
        """Choose a sound that lasts until the next event, or of those that last longest."""
        gap = self._next - self._event
        room = self._onsets.room
        fit = np.flatnonzero(room >= gap)
        if len(fit) < min(_AT_LEAST, len(room)):
            fit = np.argsort(-room, kind="stable")[:max(_AT_LEAST, len(room) // 4)]
        if self._near is not None:
            start, stop = self._prior.span(self._near)
            fit = np.flatnonzero((self._onsets.positions >= start) & (self._onsets.positions < stop))
            self._near = None
        elif len(fit) > 1:
            fit = fit[fit != self._last]
        self._last = int(fit[self._rng.below(len(fit))])
        onset = int(self._onsets.positions[self._last])
        self._begin = self._prior.span(self._prior.file_of(onset))[0]
        self._stop = onset + int(room[self._last])
        self._position = onset - LEAD  # with the moment of quiet before it, which makes it an onset

    def _at(self, position: int) -> Array:
        if position < self._begin:
            return self._quiet
        if position < self._stop:
            latent: Array = self._prior.at(position)
            return latent
        share = np.float32(min(1.0, (position - self._stop + 1) / self._fade))
        last: Array = self._prior.at(self._stop - 1)
        return (1 - share) * last + share * self._quiet


def need_onsets(prior: Prior, onsets: Onsets, rate_hz: float, near: int | None = None) -> None:
    """Raises InvalidValue where there is nothing that could be struck."""
    if len(onsets.positions) == 0:
        raise InvalidValue(f"density needs sounds that begin, and this corpus has none: nowhere does its level rise by "
                           f"{RISE_DB:g} dB within {2000 / rate_hz:.0f} ms")
    if near is not None:
        start, stop = prior.span(near)
        if not ((onsets.positions >= start) & (onsets.positions < stop)).any():
            raise InvalidValue(f"density needs sounds that begin, and {prior.files[near]} has none: nowhere does its "
                               f"level rise by {RISE_DB:g} dB within {2000 / rate_hz:.0f} ms")
