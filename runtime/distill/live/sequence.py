"""One sequence of latents under control: decoded ahead, and again from the present on when a control has moved.

A decoder looks ahead and is cheapest in chunks, so more is always decoded than is due. Here that is a forecast. As long
as nobody moves a control it comes true, on a fixed grid of chunks, and the sound is bit for bit the one without
control. When one moves, what has not been played is forgotten: the latents from the present on are made again, from the
same draws, and decoded behind the latents that were really played. So a change neither waits for a chunk nor leaves a
seam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from distill.arrays import namespace
from distill.knobs import USES, Knobs
from distill.latents import Source
from distill.model import Model

from .ramp import Ramp

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

GRID = 16  # latent frames decoded at a time, at least; fewer cost more, for their context
RAMP_SECONDS = 0.06


class LatentSequence:
    """`length` latent frames, or endless, as spectrograms of one or several models."""

    def __init__(self, lead: Model, models: Sequence[Model], make: Callable[[Knobs], Source], source: Source,
                 knobs: Knobs, length: int | None, grid: int = GRID, segment: bool = False) -> None:
        """lead: whose sliders and latents these are; models: which decode them. source: the latents to begin with,
        which are those of `knobs`; make: other ones, for other knobs. grid: latent frames decoded at a time.
        segment: whether others of the same length come before and after it, and sources know where they begin.
        """
        self._sliders, self._models, self._make = lead.sliders, models, make
        self._length, self._grid, self._segment = length, grid, segment
        self._fades = False
        self._ratio = lead.sidecar.latent.frames_per_latent
        self._left = max(model.sidecar.chunking.receptive_field_left for model in models)
        self._right = max(model.sidecar.chunking.receptive_field_right for model in models)
        self._steps = round(RAMP_SECONDS * lead.sidecar.latent.rate_hz)
        self._knobs, self._path = knobs, _path(knobs)
        self._wanted_path = self._path
        self._positions = Ramp(self._values(knobs), self._steps)  # of the sliders
        self._wander = Ramp([_wander(knobs)], self._steps)
        self._turn = Ramp([1.0], self._steps)  # from the old stem to the new one
        self._stems = [_Stem(source)]
        self._at = self._start = self._stop = 0  # the present; what is decoded
        self._past = np.empty((lead.latent_dim, 0), np.float32)  # played latents, as far back as decoders look
        self._latents = self._past  # of start to stop
        self._spectrograms: list[Any] = []  # the same, decoded, of the models' devices

    def step(self, count: int, knobs: Knobs) -> list[Any]:
        """The next `count` latent frames, as `knobs` have them now -> of each model [2, n_mels, frames], in dB and IF.

        At most as many as are left.
        """
        if self._follow(knobs):
            self._stop = self._at  # what is decoded is forgotten
        parts = []
        while count:
            if self._at == self._stop:
                self._decode()
            part = min(count, self._stop - self._at)
            parts.append(self._play(part))
            count -= part
        return [pieces[0] if len(pieces) == 1 else namespace(pieces[0]).concat(pieces, axis=2)
                for pieces in zip(*parts, strict=True)]

    def ahead(self, frames: int) -> list[Any]:
        """What follows the last step if no control moves, as far as it is decoded; of each model [2, n_mels, n]."""
        first = (self._at - self._start) * self._ratio
        return [spectrogram[:, :, first:first + frames] for spectrogram in self._spectrograms]

    def go_on_from(self, before: LatentSequence) -> None:
        """Have sliders and wander where the sequence `before` has them now, on their way or not."""
        self._positions, self._wander = copy(before._positions), copy(before._wander)

    def drawn(self) -> Source:
        """The source, all of this sequence drawn from it, for the sequence that comes next.

        While that fades in, this one follows sliders and wander, and stays on its path.
        """
        assert self._length is not None
        self._fades = True
        self._stems[-1].ahead(self._length - self._at)
        return self._stems[-1].source

    @property
    def knobs(self) -> Knobs:
        """What the last step followed, and, where a change of path waits, the path that it did not yet take."""
        return replace(self._path, wander=self._knobs.wander, sliders=self._knobs.sliders)

    def _follow(self, knobs: Knobs) -> bool:
        """Whether a control has moved."""
        moved = knobs is not self._knobs and knobs != self._knobs
        self._knobs = knobs
        if moved:
            self._positions.go(self._values(knobs))
            self._wander.go([_wander(knobs)])
            self._wanted_path = _path(knobs)
        if self._wanted_path != self._path and len(self._stems) == 1 and not self._fades:  # one change after the other
            self._path, moved = self._wanted_path, True
            self._stems.append(_Stem(self._make(self._path)))
            if self._segment:
                self._stems[1].skip(self._at)
            self._turn = Ramp([0.0], self._steps)
            self._turn.go([1.0])
        return moved

    def _decode(self) -> None:
        """The chunk that the present lies in, from there on, and the next one too where little of it is left."""
        stop = ((self._at + self._grid // 2) // self._grid + 1) * self._grid
        last = stop + self._right
        if self._length is not None:
            stop, last = min(stop, self._length), min(last, self._length)
        latents = np.concatenate([self._past, self._ahead(last - self._at)], axis=1)
        first, count = self._past.shape[1], stop - self._at
        self._spectrograms = [model.decoded_part(latents, first, first + count) for model in self._models]
        self._latents = latents[:, first:first + count]
        self._start, self._stop = self._at, stop

    def _ahead(self, count: int) -> Array:
        """The latents to come, if nothing moves again, [latent_dim, count]."""
        far = self._wander.ahead(count)[0].astype(np.float32)
        latents = self._stems[-1].latents(count, far)
        if len(self._stems) > 1:
            share = self._turn.ahead(count)[0].astype(np.float32)
            latents = (1 - share) * self._stems[0].latents(count, far) + share * latents
        return latents + self._offset(self._positions.ahead(count))

    def _play(self, count: int) -> list[Any]:
        """Move the present on, within what is decoded."""
        here = self._at - self._start
        self._past = np.concatenate([self._past, self._latents[:, here:here + count]], axis=1)
        self._past = self._past[:, max(0, self._past.shape[1] - self._left):]
        for ramp in (self._positions, self._wander, self._turn):
            ramp.skip(count)
        for stem in self._stems:
            stem.skip(count)
        if self._turn.at_rest:
            del self._stems[:-1]
        self._at += count
        frames = slice(here * self._ratio, (here + count) * self._ratio)
        return [spectrogram[:, :, frames] for spectrogram in self._spectrograms]

    def _offset(self, positions: Doubles) -> Array:
        """What sliders at [sliders, n] add to latents, [latent_dim, n], or 1 where they rest.

        Column by column: a product of matrices has other bits than those of its columns, which a slider at rest has.
        """
        count, moving = positions.shape[1], self._positions.left
        offsets = [self._sliders.offset(position) for position in positions.T[:moving]]
        rest = self._sliders.offset(positions[:, -1])
        return np.concatenate([*offsets, np.repeat(rest, count - len(offsets), axis=1)], axis=1) if offsets else rest

    def _values(self, knobs: Knobs) -> Doubles:
        """Every slider's value; sliders that only other models of a blend have are theirs."""
        return self._sliders.values(self._sliders.own(knobs.sliders))


class _Stem:
    """A source, and what was drawn from it and has not been played."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._drawn = source.draw(0)  # [parts, latent_dim, frames]

    def ahead(self, count: int) -> Array:
        """What the next `count` latent frames are made of; they stay ahead."""
        missing = count - self._drawn.shape[2]
        if missing > 0:
            self._drawn = np.concatenate([self._drawn, self.source.draw(missing)], axis=2)
        return self._drawn[:, :, :count]

    def latents(self, count: int, wander: Array) -> Array:
        """The next `count` latent frames, [latent_dim, count]; wander: [count]."""
        return self.source.wandered(self.ahead(count), wander)

    def skip(self, count: int) -> None:
        """Leave so many behind."""
        self.ahead(count)
        self._drawn = self._drawn[:, :, count:]


def _path(knobs: Knobs) -> Knobs:
    """What a change of which needs another source: all but wander and sliders."""
    return replace(knobs, wander=None, sliders={})


def _wander(knobs: Knobs) -> float:
    return knobs.chosen("wander") if knobs.mode in USES["wander"].modes else 0.0
