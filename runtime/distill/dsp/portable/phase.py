"""Peak-locked phase over rectangles [frames, n_mels]; `distill.dsp.phase` has the model and its sources.

In numpy a frame's seeds are a short list. Here every band is carried along as if it were a seed; since a band's parent
is always a seed of the frame before, what the other bands gather is never read.

From one frame to the next, band i takes what its parent has and adds a step:

    own[t, i] = own[t - 1, parent[t, i]] + step[t, i]

Such a frame is a map of phases, (parent, step), and two maps after one another are a map again:

    (parent1, step1) then (parent2, step2)  =  (parent1[parent2], step2 + step1[parent2])

which is associative, so `scan` composes all frames of a block in log2(frames) steps. A band that starts afresh has
nobody, a column of its own whose phase is always 0, as its parent. Phases are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill.dsp.phase import _BAND_BITS, _FIRST, _HEARD, _LEVEL_STEPS, _ONSET, _RESTS, _SLACK, TURN

from .scan import Items, running_maximum, running_minimum, scan
from .tables import Tables

Array = Any

_SEGMENT_BITS = 32  # a packed level and band have fewer


@dataclass(frozen=True)
class Decisions:
    """owner: [frames, n_mels] int64, the seed that each band follows. fresh: [frames, n_mels] bool, no past.

    onset: [frames] bool, whether something begins in the frame that can be heard.
    """

    owner: Array
    fresh: Array
    onset: Array


def decide(levels: Array, previous: Array | None, tables: Tables) -> Decisions:
    """Seeds and what follows them, for the `levels` [frames, n_mels], nepers, of consecutive frames.

    `previous` [n_mels] is the frame before them, None at the start.
    """
    xp, (frames, n_mels) = tables.xp, levels.shape
    bands = xp.arange(n_mels, dtype=xp.int64)
    past = xp.concat([(levels[0, :] if previous is None else previous)[None, :], levels[:-1, :]], axis=0)
    rising = levels[:, 1:] > levels[:, :-1]
    peak = rising[:, :-1] & ~rising[:, 1:]
    threshold = xp.maximum(xp.maximum(past[:, :-2], past[:, 2:]), past[:, 1:-1]) + float(_ONSET)
    moving = xp.abs(levels[:, 1:-1] - past[:, 1:-1]) > float(_RESTS)
    slack = xp.where(moving, xp.asarray(float(_SLACK), dtype=levels.dtype), xp.asarray(0, dtype=levels.dtype))
    carried = past[:, 1:-1] > xp.maximum(levels[:, 2:], levels[:, :-2]) - slack
    if previous is None:
        carried[0, :] = False
    edge = xp.zeros((frames, 1), dtype=xp.bool)
    is_seed = xp.concat([edge, peak | carried, edge], axis=1)
    fresh = xp.concat([edge, levels[:, 1:-1] >= threshold, edge], axis=1)
    if previous is None:
        fresh[0, :] = True
    loudest = bands == xp.argmax(levels, axis=1)[:, None]
    is_seed = is_seed | (loudest & ~xp.any(is_seed, axis=1, keepdims=True))

    before = running_maximum(xp.where(is_seed, bands, -1), 1, xp)  # the nearest seed below each band, or at it
    after = xp.flip(running_minimum(xp.flip(xp.where(is_seed, bands, n_mels), axis=1), 1, xp), axis=1)
    # The border between two seeds is the lowest band after one, up to the next. Level and band are packed into one
    # integer; taking a larger number off in each further stretch makes the running minimum start afresh there.
    level = xp.astype(levels * float(_LEVEL_STEPS), xp.int64)
    stretch = xp.cumulative_sum(xp.astype(is_seed, xp.int64), axis=1) - xp.astype(is_seed, xp.int64)
    lowest = running_minimum((level << _BAND_BITS) + bands - (stretch << _SEGMENT_BITS), 1, xp)
    inside = xp.where(after < n_mels, after, before)
    beyond = lowest == xp.take_along_axis(lowest, inside, axis=1)  # the border is not above this band
    owner = xp.where((before < 0) | ((after < n_mels) & beyond), inside, before)
    heard = levels >= xp.max(levels, axis=1, keepdims=True) - float(_HEARD)
    return Decisions(owner, fresh, xp.any(is_seed & fresh & heard, axis=1))


class PhaseIntegrator:
    """Sums phase over decisions; its state is the last frame."""

    def __init__(self, tables: Tables) -> None:
        xp, spec = tables.xp, tables.spec
        self._tables = tables
        self._own = xp.zeros(spec.n_mels + 1, dtype=xp.int64)  # of each band; the last is nobody's
        self._owner = xp.zeros(spec.n_mels, dtype=xp.int64)
        self._bend = xp.zeros(spec.n_bins, dtype=xp.int64)  # slopes along the bins, summed

    def __call__(self, decisions: Decisions, deviation: Array, slopes: Array) -> Array:
        """Phase [m, n_bins] int64, within two turns, of which TURN make one, of the next m >= 1 frames.

        deviation: [m, n_mels] spectrogram channel 1
        slopes:    [m, n_bins] slope of the phase along frequency, turns per bin
        """
        t, xp, n_mels = self._tables, self._tables.xp, self._tables.spec.n_mels
        sums = xp.cumulative_sum(xp.astype(slopes * float(TURN), xp.int64), axis=1)
        bend = xp.concat([self._bend[None, :], sums], axis=0)  # row 0: the last frame
        step = t.advance + xp.astype(deviation * t.advance_per_unit, xp.int64)
        step = xp.where(decisions.fresh, int(_FIRST), step + xp.take(bend[:-1, :] - sums, t.nearest_bin, axis=1))
        owner = decisions.owner
        parent = xp.concat([self._owner[None, :], owner[:-1, :]], axis=0)
        parent = xp.where(decisions.fresh, n_mels, parent)
        parent, step = self._with_nobody(parent, n_mels), self._with_nobody(step, 0)
        parent, turned = scan(self._composed, (parent, step), 0, xp)
        own = _wrapped(turned + xp.reshape(xp.take(self._own, xp.reshape(parent, (-1,))), parent.shape))

        self._own, self._owner, self._bend = own[-1, :], owner[-1, :], sums[-1, :]
        return _wrapped(sums + xp.take(xp.take_along_axis(own[:, :n_mels], owner, axis=1), t.band_of_bin, axis=1))

    def _with_nobody(self, values: Array, nobody: int) -> Array:
        xp = self._tables.xp
        column = xp.zeros((values.shape[0], 1), dtype=values.dtype) + nobody
        return xp.concat([values, column], axis=1)

    def _composed(self, earlier: Items, later: Items) -> Items:
        xp, parent = self._tables.xp, later[0]
        return (xp.take_along_axis(earlier[0], parent, axis=1),
                later[1] + xp.take_along_axis(earlier[1], parent, axis=1))


def _wrapped(phase: Array) -> Array:
    """The same modulo two turns, from -TURN on: as 32 bits would hold it."""
    return ((phase + TURN) & (2 * TURN - 1)) - TURN
