"""How a sound follows its controls while it is made: one `Steering` for one stream.

The audio thread looks at the controls whenever it begins a step of sound, a latent frame or so; it never waits. What it
saw is kept for the others that make the same step, the second lane of a stereo sound or another model of a blend, so
that all of them move together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distill.blending.weights import normalised
from distill.dsp.overlap import mixed, rising
from distill.foreseen import Foreseen
from distill.knobs import Knobs
from distill.latents import Cut, Source
from distill.model import Model
from distill.spec import SpectrogramSpec

from .controls import Controls, Targets
from .ramp import Ramp
from .sequence import GRID, RAMP_SECONDS, LatentSequence

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Step = tuple[list[Array], Callable[[int], list[Array]]]  # of each model: frames, and those that follow

STEP = 1  # latent frames that become sound at a time; more cost less, and a change waits for them
LARGEST_STEP = 256
_KEPT = 512  # steps


class Steering:
    """One stream's view of the controls."""

    def __init__(self, controls: Controls, step: int = STEP) -> None:
        """step: latent frames that become sound at a time."""
        self._step = step
        self._knobs, self._weights = _Tape(controls), _Tape(controls)

    def spectrograms(self, lead: Model, models: Sequence[Model], knobs: Knobs, frames: int | None,
                     lane: int = 0) -> Foreseen[list[Array]]:
        """The latents of `lead`, which follow the controls from `knobs` on, decoded by each of `models`.

        Pieces [2, n_mels, any] in dB and IF, at least `frames` of them in all, or endless; what follows them if no
        control moves can be foreseen. Raises InvalidValue, now.
        """
        def make(knobs: Knobs) -> Source:
            return lead.source(knobs, lane)

        source, cut = make(knobs), lead.cut(knobs)
        rate, ratio = lead.sidecar.latent.rate_hz, lead.sidecar.latent.frames_per_latent
        length = None if frames is None else -(-frames // ratio)
        grid = self._step * -(-GRID // self._step)

        def begun(source: Source, knobs: Knobs, length: int | None) -> LatentSequence:
            return LatentSequence(lead, models, make, source, knobs, length, grid, cut is not None)

        def now(position: int) -> Knobs:
            return self._knobs.at(position / rate).knobs

        if cut is not None:
            return Foreseen(self._crossfaded(cut, begun, now, source, knobs, length, ratio))
        return Foreseen(self._straight(begun(source, knobs, length), now, length))

    def _straight(self, sequence: LatentSequence, now: Callable[[int], Knobs],
                  length: int | None) -> Iterator[Step]:
        position = 0
        while length is None or position < length:
            count = self._step if length is None else min(self._step, length - position)
            yield sequence.step(count, now(position)), sequence.ahead
            position += count

    def _crossfaded(self, cut: Cut, begun: Callable[[Source, Knobs, int], LatentSequence],
                    now: Callable[[int], Knobs], source: Source, knobs: Knobs,
                    length: int | None, ratio: int) -> Iterator[Step]:
        """What `distill.crossfade` makes of all segments; where two overlap, both are decoded as they are played."""
        left = None if length is None else cut.latents(length)
        fading: LatentSequence | None = None
        position, risen = 0, rising(cut.overlap * ratio)
        while left is None or left > 0:
            size = cut.length if left is None else min(cut.length, left)
            left = None if left is None else left - size
            segment = begun(source, knobs, size)
            if fading is not None:
                segment.go_on_from(fading)
            alone, done = size if left == 0 else size - cut.overlap, 0
            while done < alone:
                over = done < cut.overlap and fading is not None
                count = min(self._step, (min(alone, cut.overlap) if over else alone) - done)
                wanted = now(position)
                pieces: list[Array] = segment.step(count, wanted)
                ahead: Callable[[int], list[Array]] = partial(_ahead, segment, (alone - done - count) * ratio)
                if over and fading is not None:
                    pieces = _mixed(fading.step(count, wanted), pieces, risen[done * ratio:])
                    ahead = partial(_mixed_ahead, fading, segment, risen[(done + count) * ratio:])
                yield pieces, ahead
                done, position = done + count, position + count
            source, knobs, fading = segment.drawn(), segment.knobs, segment

    def weights(self, rate: float) -> SteeredWeights:
        """Those of steps at `rate` Hz."""
        return SteeredWeights(self._weights, rate)

    def voice(self, voice: Spectral | Sounding) -> SteeredVoice | SteeredMixture:
        """A model or a blend, steered, as `render` takes it."""
        return SteeredMixture(voice, self) if isinstance(voice, Sounding) else SteeredVoice(voice, self)


def _mixed(old: list[Array], new: list[Array], rise: Doubles) -> list[Array]:
    """Of each model, as many frames as both have and there are weights for."""
    count = min(old[0].shape[2], new[0].shape[2], len(rise))
    return [mixed(before[:, :, :count], after[:, :, :count], rise[:count])
            for before, after in zip(old, new, strict=True)]


def _ahead(sequence: LatentSequence, most: int, frames: int) -> list[Array]:
    return sequence.ahead(min(most, frames))


def _mixed_ahead(old: LatentSequence, new: LatentSequence, rise: Doubles, frames: int) -> list[Array]:
    return _mixed(old.ahead(frames), new.ahead(frames), rise)


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


class SteeredWeights:
    """A function n -> weights [models, n] of the next n steps, summing to 1."""

    def __init__(self, tape: _Tape, rate: float) -> None:
        self._tape, self._rate, self._position = tape, rate, 0
        self._ramp: Ramp | None = None

    def __call__(self, count: int) -> Doubles:
        wanted = self._tape.at(self._position / self._rate).weights
        if self._ramp is None:
            self._ramp = Ramp(wanted, round(RAMP_SECONDS * self._rate))
        self._ramp.go(wanted)
        self._position += count
        return normalised(self._ramp.take(count))

    def ahead(self, count: int) -> Doubles:
        """What comes next if no control moves, [models, count]; some must have been taken."""
        assert self._ramp is not None
        return normalised(self._ramp.ahead(count))


class _Tape:
    """What the controls were when each step was begun; the last ones are kept."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._seen: OrderedDict[float, Targets] = OrderedDict()

    def at(self, seconds: float) -> Targets:
        """seconds: from the start of the stream."""
        if seconds not in self._seen:
            self._seen[seconds] = self._controls.now
            if len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return self._seen[seconds]
