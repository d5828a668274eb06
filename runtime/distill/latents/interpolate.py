"""Mode `interpolate`: from anchor to anchor on the sphere that the corpus's latents lie near.

In many dimensions nearly all of a Gaussian lies at one distance from its middle, so a straight line between two
points cuts through where there is nothing; a great circle does not (Shoemake, "Animating rotation with quaternion
curves", 1985). With u and v two latents as seen from the corpus's mean, in its standard deviations, and a the angle
between them,

    slerp(t) = [sin((1 - t) a) u / |u| + sin(t a) v / |v|] / sin(a) * [(1 - t) |u| + t |v|].

Anchors are moments of the corpus that sound, so there is always something to hear, and never an attack.

A path on the sphere is not yet even in level: half-way between two notes the decoder may make something 30 dB softer
than either, or louder. So the decoder is asked, at a few points of each path, how loud that is. Where the path is
louder than the straight line from anchor to anchor, in dB, it leaves the sphere for the chord, which is softer; what
then remains is corrected along the direction in which latents get louder. Half-way, that leaves 0.2 dB of what were 16
(standard deviation, vibraphone).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.knobs import Knobs
from distill.prior import Prior
from distill.rng import Rng

from .louder import LevelOf, louder
from .noise import SmoothNoise, period_of
from .posterior import Posterior
from .seeds import path_and_noise
from .source import Source
from .walk import WANDER_SECONDS

Array = NDArray[np.float32]

_ANCHOR_DB = 18.0  # under its recording's loudest moment: softer ones are no anchors
_POINTS = 7  # of a path whose level is corrected, at most
_APART = 24  # latent frames from one to the next, at least
_CORRECTIONS = 3
_LARGEST_DB = 40.0  # of one correction
_GAINS = 0.3, 2.0  # bounds of what a dB of correction may turn out to be


class Interpolation(Source):
    """An endless latent sequence: through anchors that are drawn from the corpus, `interval` seconds apart."""

    def __init__(self, posterior: Posterior, prior: Prior | None, rate_hz: float, knobs: Knobs, lane: int = 0,
                 level_of: LevelOf | None = None) -> None:
        """level_of: of latents that are held; None leaves levels as they come."""
        path_seed, noise_seed = path_and_noise(knobs.seed, lane)
        self._rng = Rng(path_seed)
        self._posterior, self._prior = posterior, prior
        self._choice = np.empty(0, np.int64) if prior is None else np.flatnonzero(prior.within(_ANCHOR_DB))
        self._period = max(1, round(knobs.chosen("interval") * rate_hz))
        self._noise = SmoothNoise(posterior.step, period_of(WANDER_SECONDS, rate_hz), noise_seed)
        self._wander = np.float32(knobs.chosen("wander"))
        self._level_of = level_of
        self._points = np.linspace(0, 1, 2 + min(_POINTS, max(1, self._period // _APART)), dtype=np.float32)
        if level_of is not None:
            self._louder = louder(posterior, prior, level_of) / posterior.std  # as the path is: in deviations
        self._phase = 0
        self._anchors = [self._anchor(knobs.near), self._anchor()]
        self._straighten()

    def draw(self, frames: int) -> Array:
        """The path and the noise, [2, latent_dim, frames]."""
        pieces, left = [np.empty((len(self._posterior.mean), 0), np.float32)], frames
        while left > 0:
            count = min(left, self._period - self._phase)
            at = (np.arange(self._phase, self._phase + count) / self._period).astype(np.float32)
            pieces.append(self._path(at))
            self._phase += count
            left -= count
            if self._phase == self._period:
                self._phase = 0
                self._anchors = [self._anchors[1], self._anchor()]
                self._straighten()
        return np.stack([self._latents(np.concatenate(pieces, axis=1)), self._noise.take(frames)])

    def _path(self, at: Array) -> Array:
        """From anchor to anchor, [dim, n], at `at` [n] in 0..1."""
        start, end = self._anchors
        path = slerp(start, end, at)
        if self._level_of is not None:
            chord = np.outer(start, 1 - at) + np.outer(end, at)
            path += (chord - path) * np.interp(at, self._points, self._inwards).astype(np.float32)
            path += np.outer(self._louder, np.interp(at, self._points, self._correction)).astype(np.float32)
        return path

    def _straighten(self) -> None:
        """Find how the path between the present anchors has to leave the sphere for its level to be even.

        At each point: the share of the way inwards, to the chord, and dB along the direction of louder latents.
        """
        self._inwards, self._correction = np.zeros((2, len(self._points)))
        if self._level_of is None:
            return
        inner = self._points[1:-1]
        on_sphere = self._level_of(self._latents(self._path(self._points)))
        wanted = np.interp(inner, (0, 1), on_sphere[[0, -1]])
        excess = on_sphere[1:-1] - wanted
        if (excess > 0).any():
            self._inwards[1:-1] = 1
            on_chord = self._level_of(self._latents(self._path(inner)))
            depth = np.maximum(on_sphere[1:-1] - on_chord, 1e-3)
            self._inwards[1:-1] = np.clip(excess / depth, 0, 1)
        step, before = np.zeros_like(wanted), np.zeros_like(wanted)
        for _ in range(_CORRECTIONS):
            found = self._level_of(self._latents(self._path(inner))).astype(np.float64)
            # a dB along the direction is seldom just a dB; the last step says what it is here (secant method)
            gain = np.where(np.abs(step) > 1, (found - before) / np.where(step == 0, 1, step), 1)
            step = np.clip((wanted - found) / np.clip(gain, *_GAINS), -_LARGEST_DB, _LARGEST_DB)
            before = found
            self._correction[1:-1] += step

    def _latents(self, path: Array) -> Array:
        return path * self._posterior.std[:, None] + self._posterior.mean[:, None]

    def _anchor(self, near: str | None = None) -> Array:
        """A moment of the corpus that sounds, as seen from its mean, in its standard deviations."""
        if self._prior is None:
            latent = self._posterior.mean + self._posterior.root @ self._rng.normal(self._posterior.root.shape[1])
        else:
            choice = self._choice
            if near is not None:
                start, stop = self._prior.span(self._prior.named(near))
                choice = choice[(choice >= start) & (choice < stop)]
            latent = self._prior.at(int(choice[self._rng.below(len(choice))]))
        anchor: Array = (latent - self._posterior.mean) / self._posterior.std
        return anchor


def slerp(start: Array, end: Array, at: Array) -> Array:
    """From `start` to `end`, each [dim], at `at` [n] in 0..1 -> [dim, n]; a straight line where no arc is defined."""
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    straight: Array = np.outer(start, 1 - at) + np.outer(end, at)
    if min(lengths) < 1e-6:
        return straight
    first, last = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(np.float32(first @ last), -1, 1))
    if np.sin(angle) < 1e-3:
        return straight
    arc = (np.outer(first, np.sin((1 - at) * angle)) + np.outer(last, np.sin(at * angle))) / np.sin(angle)
    result: Array = (arc * ((1 - at) * lengths[0] + at * lengths[1])).astype(np.float32)
    return result
