"""How a sound follows its controls while it is made: one `Steering` for one stream.

The audio thread looks at the controls whenever it begins a stretch of sound; it never waits. What it saw is kept for
the others that make the same stretch, the second lane of a stereo sound or another model of a blend, so that all of
them move together.

Each control is looked at as late as it can be. Weights are, when spectrograms (or sounds) are mixed. Sliders are, when
latents are decoded, though the decoder looks ahead: the latents to its right are shifted as they will be if nothing
moves again, which is the truth except at the very moment of a change. What makes the path of latents (wander, seed and
all that a preset may set) is looked at when latents are taken, which is before the decoder's look-ahead.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distill.blending.weights import normalised
from distill.decoder import Shift
from distill.knobs import USES, Knobs
from distill.latents import Source
from distill.model import Model
from distill.spec import SpectrogramSpec

from .controls import Controls, Targets
from .ramp import Ramp

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

CHUNK = 8  # latent frames decoded at a time: a change waits for the next ones; fewer cost more, for context
LARGEST_CHUNK = 256
_RAMP_SECONDS = 0.06
_KEPT = 64  # stretches
_REMEMBERED = 1024  # latent frames; more than any decoder looks back

Moment = tuple[int, float]  # which sequence of latents, and seconds since it began


class Steering:
    """One stream's view of the controls."""

    def __init__(self, controls: Controls, chunk: int = CHUNK) -> None:
        """chunk: latent frames decoded at a time."""
        self.chunk = chunk
        self._paths, self._sliders, self._weights = _Tape(controls), _Tape(controls), _Tape(controls)

    def source(self, make: Callable[[Knobs], Source], model: Model) -> Source:
        """The latents of `make`, following all that the controls say but the sliders."""
        return _SteeredSource(make, model.sidecar.latent.rate_hz, self._paths)

    def shifts(self, model: Model) -> Callable[[], Shift]:
        """A function that makes what the sliders add to the latents of `model`, for one sequence after the other."""
        numbers = itertools.count()
        return lambda: _SliderShift(model, self._sliders, next(numbers))

    def weights(self, rate: float) -> Callable[[int], Doubles]:
        """A function n -> weights [models, n] of the next n steps at `rate` Hz, summing to 1."""
        tape, position = self._weights, 0
        ramp: Ramp | None = None

        def take(count: int) -> Doubles:
            nonlocal position, ramp
            wanted = tape.at((0, position / rate)).weights
            if ramp is None:
                ramp = Ramp(wanted, round(_RAMP_SECONDS * rate))
            ramp.go(wanted)
            position += count
            return normalised(ramp.take(count))

        return take

    def voice(self, voice: Spectral | Sounding) -> SteeredVoice | SteeredMixture:
        """A model or a blend, steered, as `render` takes it."""
        return SteeredMixture(voice, self) if isinstance(voice, Sounding) else SteeredVoice(voice, self)


class Spectral(Protocol):
    """A model or a blend that makes spectrograms."""

    @property
    def spec(self) -> SpectrogramSpec: ...

    @property
    def sample_rate(self) -> int: ...

    @property
    def gain_db(self) -> float: ...

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0,
                     steer: Steering | None = None) -> Iterator[Array]: ...


@runtime_checkable
class Sounding(Protocol):
    """A blend that makes sound."""

    @property
    def sample_rate(self) -> int: ...

    def sounds(self, knobs: Knobs, total: int | None, lane: int = 0,
               steer: Steering | None = None) -> Iterator[Array]: ...


class SteeredVoice:
    """What makes spectrograms, as a voice for `render`."""

    def __init__(self, voice: Spectral, steer: Steering) -> None:
        self._voice, self._steer = voice, steer

    @property
    def spec(self) -> SpectrogramSpec:
        return self._voice.spec

    @property
    def sample_rate(self) -> int:
        return self._voice.sample_rate

    @property
    def gain_db(self) -> float:
        return self._voice.gain_db

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[Array]:
        return self._voice.spectrograms(knobs, frames, lane, self._steer)


class SteeredMixture:
    """What makes sound, as a mixture for `render`."""

    def __init__(self, voice: Sounding, steer: Steering) -> None:
        self._voice, self._steer = voice, steer

    @property
    def sample_rate(self) -> int:
        return self._voice.sample_rate

    def sounds(self, knobs: Knobs, total: int | None, lane: int = 0) -> Iterator[Array]:
        return self._voice.sounds(knobs, total, lane, self._steer)


class _Tape:
    """What the controls were when each stretch was begun; the last ones are kept."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._seen: OrderedDict[Moment, Targets] = OrderedDict()

    def at(self, moment: Moment) -> Targets:
        if moment not in self._seen:
            self._seen[moment] = self._controls.now
            if len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return self._seen[moment]


class _SteeredSource:
    """A source whose wander moves, and which is faded into another one where that is not enough."""

    def __init__(self, make: Callable[[Knobs], Source], rate_hz: float, tape: _Tape) -> None:
        self._make, self._tape, self._rate = make, tape, rate_hz
        self._steps = max(1, round(_RAMP_SECONDS * rate_hz))
        self._position = 0
        knobs = tape.at((0, 0.0)).knobs
        self._followed: Knobs | None = None
        self._path = _path(knobs)
        self._sources = [make(self._path)]  # at most two: the one that goes and the one that comes
        self._turn = Ramp([1.0], self._steps)  # share of the one that comes
        self._wander = Ramp([_wander(knobs)], self._steps)

    def take(self, frames: int, wander: Array | None = None) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]; the controls say how far they wander."""
        self._follow(self._tape.at((0, self._position / self._rate)).knobs)
        self._position += frames
        far = self._wander.take(frames)[0].astype(np.float32)
        latents = self._sources[-1].take(frames, far)
        if len(self._sources) > 1:
            share = self._turn.take(frames)[0].astype(np.float32)
            latents = (1 - share) * self._sources[0].take(frames, far) + share * latents
            if self._turn.at_rest:
                del self._sources[0]
        return latents

    def _follow(self, knobs: Knobs) -> None:
        if knobs is self._followed:
            return
        self._wander.go([_wander(knobs)])
        path = _path(knobs)
        if path != self._path and len(self._sources) == 1:  # while one change of path is on its way, the next waits
            self._path = path
            self._sources.append(self._make(path))
            self._turn = Ramp([0.0], self._steps)
            self._turn.go([1.0])
        if path == self._path:
            self._followed = knobs


class _SliderShift:
    """What sliders add to the latents of one sequence."""

    def __init__(self, model: Model, tape: _Tape, number: int) -> None:
        self._sliders, self._tape, self._number = model.sliders, tape, number
        self._rate = model.sidecar.latent.rate_hz
        self._followed: Knobs | None = None
        values = self._wanted(tape.at((number, 0.0)).knobs)
        self._ramp = Ramp(values, round(_RAMP_SECONDS * self._rate))
        self._past = np.empty((len(values), 0))  # [sliders, latent frames before `start`]

    def __call__(self, first: int, start: int, stop: int, last: int) -> Array:
        knobs = self._tape.at((self._number, start / self._rate)).knobs
        if knobs is not self._followed:
            self._ramp.go(self._wanted(knobs))
            self._followed = knobs
        resting = self._ramp.at_rest
        now = self._ramp.take(stop - start)
        values = np.concatenate([self._past[:, self._past.shape[1] - (start - first):], now,
                                 self._ramp.ahead(last - stop)], axis=1)
        self._past = np.concatenate([self._past, now], axis=1)[:, -_REMEMBERED:]
        if resting and (values == values[:, :1]).all():  # one column gives the bits of a sound that is not steered
            values = values[:, :1]
        return self._sliders.offset(values)

    def _wanted(self, knobs: Knobs) -> Doubles:
        """Every slider's value; sliders that only other models of a blend have are theirs."""
        return self._sliders.values(self._sliders.own(knobs.sliders))


def _path(knobs: Knobs) -> Knobs:
    """What a change of which needs another source: all but wander and sliders."""
    return replace(knobs, wander=None, sliders={})


def _wander(knobs: Knobs) -> float:
    return knobs.chosen("wander") if knobs.mode in USES["wander"].modes else 0.0
