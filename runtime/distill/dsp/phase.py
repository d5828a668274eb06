"""Peak-locked phase of a two-channel spectrogram, frame after frame.

A spectral peak goes on from where the sound was a hop ago: its phase is that of the same place in the last frame
plus the advance that its instantaneous frequency asks for. Its neighbours follow their peak, not their own past
(identity phase locking: Laroche & Dolson, 1999), bent by the group delay that `distill.dsp.delay` reads off the levels.

A peak that rose by more than 18 dB is an onset: it has no past and starts afresh, as do all peaks of the first frame.
What its group delay says is then its whole phase: all that begins together starts from one phase, an eighth of a turn,
between the even and the odd response to a stroke.

Two steps. `decide` makes every yes-or-no choice: which bands are peaks ("seeds"), and where the stretch of bins
that follows each of them ends. `PhaseIntegrator` does the sums, which are continuous in the spectrogram. A small
error in the input can flip a decision and turn the sound's phase upside down from there on, though neither result
is worse; with the decisions of one spectrogram applied to another, the two results can be compared sample by sample.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

from .axis import axis

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_ONSET = np.float32(18 / 20 * math.log(10))  # 18 dB, nepers
# A band that lay at most SLACK under both neighbours before is a peak that they have grown over. Where its level rests
# instead, it is the second of two bins that share one partial: with a phase of its own it would cancel the first.
_SLACK, _RESTS = np.float32(0.2), np.float32(0.15)  # nepers
FIRST_PHASE = 0.125  # turns, of what begins, where its group delay puts it
_BAND_BITS = 14  # n_mels < 2^14
_LEVEL_STEPS = np.float32(2048.0)  # per neper, when a level and a band share one integer


class Decisions(Struct, frozen=True, eq=False):
    """Seeds of `frames` consecutive frames, in order, and the stretch of bands and bins that each of them owns.

    first_seed: [frames + 1]  index of each frame's first seed; the last entry is the number of seeds
    band:       [seeds]       the band that the seed sits in
    fresh:      [seeds]       whether it starts afresh, and does not go on from the frame before
    from_band:  [seeds + 1]   where its stretch begins: frame * n_mels + band; the last entry is frames * n_mels
    from_bin:   [seeds + 1]   the same in bins: frame * n_bins + bin
    """

    frames: int
    first_seed: Indices
    band: Indices
    fresh: NDArray[np.bool_]
    from_band: Indices
    from_bin: Indices

    def onsets(self) -> Indices:
        """Those of the frames, ascending, in which a seed starts afresh."""
        return np.unique(self.first_seed.searchsorted(self.fresh.nonzero()[0], side="right") - 1)


def decide(levels: Floats, previous: Floats | None, spec: SpectrogramSpec) -> Decisions:
    """Seeds and stretches for the `levels` [frames, n_mels], nepers, of frames >= 1 consecutive frames.

    `previous` [n_mels] is the frame before them, None at the start.
    """
    table = axis(spec)
    frames, n_mels = levels.shape
    past = np.empty_like(levels)
    past[1:] = levels[:-1]
    past[0] = levels[0] if previous is None else previous

    is_seed = np.zeros((frames, n_mels), bool)
    is_fresh = np.zeros((frames, n_mels), bool)
    inner, fresh = is_seed[:, 1:-1], is_fresh[:, 1:-1]
    rising = levels[:, 1:] > levels[:, :-1]
    np.greater(rising[:, :-1], rising[:, 1:], out=inner)  # local maxima
    limit = np.maximum(past[:, :-2], past[:, 2:])
    np.maximum(limit, past[:, 1:-1], out=limit)
    limit += _ONSET
    np.greater_equal(levels[:, 1:-1], limit, out=fresh)
    np.maximum(levels[:, 2:], levels[:, :-2], out=limit)
    moving = np.abs(levels[:, 1:-1] - past[:, 1:-1]) > _RESTS
    limit -= _SLACK * moving
    skirts = past[:, 1:-1] > limit  # a decaying partial under its neighbours' skirts
    if previous is None:
        is_fresh[0], skirts[0] = True, False
    inner |= skirts

    edges = np.arange(frames + 1)
    first_band, first_bin = edges * n_mels, edges * spec.n_bins
    place = is_seed.reshape(-1).nonzero()[0]  # frame * n_mels + band
    first_seed = place.searchsorted(first_band)
    bare = (first_seed[1:] == first_seed[:-1]).nonzero()[0]
    if len(bare):
        is_seed[bare, np.argmax(levels[bare], axis=1)] = True
        place = is_seed.reshape(-1).nonzero()[0]
        first_seed = place.searchsorted(first_band)
    counts = first_seed[1:] - first_seed[:-1]
    before = first_band[:-1].repeat(counts)  # bands of the frames before, for each seed
    band = place - before
    from_band = np.empty(len(place) + 1, np.int64)
    from_bin = np.empty(len(place) + 1, np.int64)
    if len(place) > 1:
        # A border is the lowest band after one seed, up to the next: level and band packed into one integer, so
        # that a minimum is an argmin. Across frames this gives nonsense, which is overwritten below.
        packed = (levels * _LEVEL_STEPS).astype(np.int32)
        packed <<= _BAND_BITS
        packed += np.arange(n_mels, dtype=np.int32)
        valley = np.minimum.reduceat(packed.reshape(-1)[: place[-1] + 1], place[:-1] + 1)
        valley &= (1 << _BAND_BITS) - 1
        np.add(valley, before[1:], out=from_band[1:-1])
        np.add(table.nearest_bin.take(valley), first_bin[:-1].repeat(counts)[1:], out=from_bin[1:-1])
    from_band[first_seed] = first_band
    from_bin[first_seed] = first_bin
    return Decisions(frames, first_seed, band, is_fresh.reshape(-1).take(place), from_band, from_bin)


class PhaseIntegrator:
    """Sums phase over decisions; its state is the last frame. Results do not depend on how frames are grouped.

    Phases are in turns and, between frames, in double precision. Per frame only the seeds are summed: the phase of
    a bin is that of its seed plus the slope between them, which `cumsum` along the bins provides for all at once.
    """

    def __init__(self, spec: SpectrogramSpec) -> None:
        self._axis = axis(spec)
        self._n_mels, self._n_bins = spec.n_mels, spec.n_bins
        bins_to_turns = spec.hop_length / spec.n_fft  # a component at bin f makes f * hop / n_fft turns a hop
        self._advance = self._axis.centres * bins_to_turns
        self._advance_per_unit = self._axis.scale * bins_to_turns
        # The last frame's seeds; seed 0 is nobody's: those that start afresh count from it.
        self._theta: Doubles = np.zeros(1)
        self._seed_bin: Indices = np.zeros(1, np.int64)
        self._owner: Indices = np.zeros(spec.n_mels, np.int64)  # [n_mels] the seed that owned each band
        self._bend: Floats = np.zeros(spec.n_bins, np.float32)  # [n_bins] its slopes, summed

    def __call__(self, decisions: Decisions, deviation: Floats, slopes: Floats) -> Floats:
        """Phase [m, n_bins], turns, of the next m >= 1 frames.

        deviation: [m, n_mels] spectrogram channel 1
        slopes:    [m, n_bins] slope of the phase along frequency, turns per bin
        """
        d, m, n_mels, n_bins = decisions, decisions.frames, self._n_mels, self._n_bins
        bend = np.empty((m + 1, n_bins), np.float32)  # row 0: the last frame
        bend[0] = self._bend
        _add_up(slopes, bend[1:])
        flat_bend = bend.reshape(-1)

        known = len(self._theta)  # seeds known from the last frame come first
        counts = d.first_seed[1:] - d.first_seed[:-1]
        frame = np.arange(m).repeat(counts)
        here = self._axis.nearest_bin.take(d.band) + frame * n_bins  # the seed's bin, seen from the frame before
        place = np.concatenate([self._seed_bin, here + n_bins])
        owner = np.empty((m + 1) * n_mels, np.int64)
        owner[:n_mels] = self._owner
        owner[n_mels:] = np.arange(known, known + len(d.band)).repeat(d.from_band[1:] - d.from_band[:-1])
        seed = d.band + frame * n_mels
        parent = owner.take(seed)

        # what is added on the way from the parent's bin in the last frame to the seed's bin in this one
        step = self._advance.take(d.band)
        step += deviation.reshape(-1).take(seed) * self._advance_per_unit.take(d.band)
        step += flat_bend.take(here) - flat_bend.take(place.take(parent))
        step -= np.rint(step)
        parent[d.fresh] = 0
        step[d.fresh] = flat_bend.take(place[known:][d.fresh]).astype(np.float64) + FIRST_PHASE

        theta = np.concatenate([self._theta, step])
        starts = d.first_seed.tolist()
        for low, high in zip(starts[:-1], starts[1:], strict=True):
            seeds = theta[known + low : known + high]
            seeds += theta.take(parent[low:high])

        last = known + starts[m - 1]
        self._theta = theta[last - 1 :].copy()
        self._seed_bin = place[last - 1 :] - m * n_bins
        self._theta[0] = self._seed_bin[0] = 0
        self._owner = owner[m * n_mels :] - (last - 1)
        self._bend = bend[m].copy()

        own = theta[known:]
        own -= np.rint(own)
        own -= flat_bend.take(place[known:])
        phase = bend[1:]
        phase += own.astype(np.float32).repeat(d.from_bin[1:] - d.from_bin[:-1]).reshape(m, n_bins)
        return phase


def _add_up(rows: Floats, out: Floats) -> None:
    """Running sums along the rows [m, n] into `out` [m, n].

    In a running sum each addition waits for the one before. As the real and the imaginary part of one complex row, two
    rows wait together.
    """
    pairs = len(rows) // 2
    if pairs:
        both = np.empty((pairs, rows.shape[1]), np.complex64)
        both.real, both.imag = rows[: 2 * pairs : 2], rows[1::2]
        np.add.accumulate(both, axis=1, out=both)
        out[: 2 * pairs : 2], out[1::2] = both.real, both.imag
    if len(rows) % 2:
        np.add.accumulate(rows[-1:], axis=1, out=out[-1:])
