"""Mode `crossfade`: segments out of the corpus that dissolve into each other.

The latents of all segments come one after the other, each segment `length` latent frames; whoever decodes them cuts
them there, decodes each segment on its own and overlaps the spectrograms (`distill.crossfade`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.knobs import Knobs
from distill.prior import Prior
from distill.rng import Rng

from .cut import Cut
from .events import Clock, Struck
from .noise import SmoothNoise, period_of
from .onsets import Onsets
from .posterior import Posterior
from .seeds import path_and_noise
from .source import Source
from .trail import Trail
from .walk import WANDER_SECONDS, Drift, Path

Array = NDArray[np.float32]


class Segments(Source):
    """The latents of endlessly many segments, one after the other. Each follows recordings from a random place.

    With a density, one clock runs through all of them: where two segments overlap, their sounds begin together.
    """

    def __init__(self, prior: Prior, rate_hz: float, knobs: Knobs, lane: int = 0) -> None:
        self._prior, self._rate, self._knobs = prior, rate_hz, knobs
        self._cut = Cut.of(knobs, rate_hz)
        path_seed, noise_seed = path_and_noise(knobs.seed, lane)
        clock_seed, self._seed = (*path_seed, 0), (*path_seed, 1)
        self._near = None if knobs.near is None else prior.named(knobs.near)
        self._clock = None if knobs.density is None else Clock(knobs.density, rate_hz, clock_seed)
        self._onsets = None if self._clock is None else Onsets.of(prior, rate_hz)
        self._noise = SmoothNoise(prior.spread, period_of(WANDER_SECONDS, rate_hz), noise_seed)
        self._wander = np.float32(knobs.chosen("wander"))
        self._number = self._frame = 0  # of the segment; in it
        self._path = self._new_path()

    def draw(self, frames: int) -> Array:
        """The path and the noise, [2, latent_dim, frames]."""
        out = np.empty((2, len(self._prior.stored), frames), np.float32)
        done = 0
        while done < frames:
            if self._frame == self._cut.length:
                self._number, self._frame, self._near = self._number + 1, 0, None
                self._path = self._new_path()
            count = min(frames - done, self._cut.length - self._frame)
            out[0, :, done:done + count] = self._path.take(count)
            done, self._frame = done + count, self._frame + count
        out[1] = self._noise.take(frames)
        return out

    def _new_path(self) -> Path:
        seed = (*self._seed, self._number)
        if self._clock is not None and self._onsets is not None:
            events = self._clock.since(self._number * self._cut.stride)
            return Struck(self._prior, self._onsets, self._rate, seed, events, self._near)
        place = Rng((*seed, 0)).below(self._prior.total)
        start = place if self._near is None else self._prior.span(self._near)[0]
        return Trail(self._prior, self._rate, (*seed, 1), 0.0, start)


class DriftSegments(Source):
    """The same without a stored corpus: each segment is a drift of its own."""

    def __init__(self, posterior: Posterior, rate_hz: float, knobs: Knobs, lane: int = 0) -> None:
        self._posterior, self._rate, self._lane = posterior, rate_hz, lane
        self._length = Cut.of(knobs, rate_hz).length
        self._wander = np.float32(knobs.chosen("wander"))
        self._seeds = Rng((knobs.seed,))
        self._frame = 0
        self._drift = self._new_drift()

    def draw(self, frames: int) -> Array:
        """As `Drift.draw`."""
        pieces, done = [np.empty((2, len(self._posterior.mean), 0), np.float32)], 0
        while done < frames:
            if self._frame == self._length:
                self._drift, self._frame = self._new_drift(), 0
            count = min(frames - done, self._length - self._frame)
            pieces.append(self._drift.draw(count))
            done, self._frame = done + count, self._frame + count
        return np.concatenate(pieces, axis=2)

    def wandered(self, drawn: Array, wander: Array | np.float32) -> Array:
        """As `Drift.wandered`: all drifts have one mean."""
        return self._drift.wandered(drawn, wander)

    def _new_drift(self) -> Drift:
        return Drift(self._posterior, self._rate, self._seeds.below(1 << 62), float(self._wander),
                     self._lane)
