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
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

from .axis import axis
from .stft import BLOCK

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

_ONSET = np.float32(18 / 20 * math.log(10))  # 18 dB, nepers
# A band that lay at most SLACK under both neighbours before is a peak that they have grown over. Where its level rests
# instead, it is the second of two bins that share one partial: with a phase of its own it would cancel the first.
_SLACK, _RESTS = np.float32(0.2), np.float32(0.15)  # nepers
_HEARD = np.float32(40 / 20 * math.log(10))  # nepers under the loudest band of its frame, within which an onset counts
FIRST_PHASE = 0.125  # turns, of what begins, where its group delay puts it
_BAND_BITS = 14  # n_mels < 2^14
_LEVEL_STEPS = np.float32(2048.0)  # per neper, when a level and a band share one integer


class Decisions(Struct, frozen=True, eq=False):
    """Seeds of `frames` consecutive frames, in order, and the stretch of bands and bins that each of them owns.

    first_seed: [frames + 1]  index of each frame's first seed; the last entry is the number of seeds
    place:      [seeds]       where the seed sits: frame * n_mels + band
    band, bin:  [seeds]       the band of that; frame * n_bins + the bin nearest to its centre
    fresh:      [seeds]       whether it starts afresh, and does not go on from the frame before
    from_band:  [seeds + 1]   where its stretch begins: frame * n_mels + band; the last entry is frames * n_mels
    from_bin:   [seeds + 1]   the same in bins: frame * n_bins + bin
    onsets:     the frames, ascending, in which something begins that can be heard
    """

    frames: int
    first_seed: Indices
    place: Indices
    band: Indices
    bin: Indices
    fresh: NDArray[np.bool_]
    from_band: Indices
    from_bin: Indices
    onsets: Indices


class Places:
    """Tables over the places of frames that follow one another, frame after frame: see `places`.

    first_band, first_bin: [frames + 1] int64, frame * n_mels and frame * n_bins
    band, bin:             [frames * n_mels] int64, the place's band, and frame * n_bins + the bin nearest to it
    band32:                [frames * n_mels] int32, the band
    """

    def __init__(self, spec: SpectrogramSpec, frames: int) -> None:
        edges = np.arange(frames + 1)
        self.first_band, self.first_bin = edges * spec.n_mels, edges * spec.n_bins
        self.band = np.tile(np.arange(spec.n_mels), frames)
        self.band32 = self.band.astype(np.int32)
        self.bin = np.add.outer(self.first_bin[:-1], axis(spec).nearest_bin).reshape(-1)


@lru_cache(maxsize=16)
def places(spec: SpectrogramSpec, frames: int) -> Places:
    """The places of so many frames, at least: those of fewer begin alike."""
    return Places(spec, frames)


def decide(levels: Floats, before: int, spec: SpectrogramSpec) -> Decisions:
    """Seeds and stretches for the `levels` [before + frames, n_mels], nepers, of frames >= 1 consecutive frames.

    before: 1 where the first row is the frame before them, 0 at the start.
    """
    frames, n_mels = len(levels) - before, spec.n_mels
    table = places(spec, BLOCK if frames <= BLOCK else frames)
    # All frames in one line. Where one ends and the next begins this gives nonsense, which is overwritten below.
    line = (levels if before else np.concatenate([levels[:1], levels])).reshape(-1)
    past, level = line[1 : -n_mels - 1], line[n_mels + 1 : -1]
    sides = np.maximum(line[2:], line[:-2])  # the louder of two neighbours
    is_seed = np.zeros(frames * n_mels, bool)
    is_fresh = np.zeros(frames * n_mels, bool)
    seed, rose = is_seed[1:-1], is_fresh[1:-1]

    rising = line[n_mels + 1 :] > line[n_mels:-1]
    np.greater(rising[:-1], rising[1:], out=seed)  # local maxima
    limit = np.maximum(sides[:-n_mels], past)
    limit += _ONSET
    np.greater_equal(level, limit, out=rose)
    is_fresh[::n_mels] = is_fresh[n_mels - 1 :: n_mels] = False
    np.subtract(level, past, out=limit)
    np.abs(limit, out=limit)
    np.multiply(limit > _RESTS, _SLACK, out=limit)
    np.subtract(sides[n_mels:], limit, out=limit)
    skirts = past > limit  # a decaying partial under its neighbours' skirts
    if not before:
        is_fresh[:n_mels], skirts[: n_mels - 1] = True, False
    seed |= skirts
    is_seed[::n_mels] = is_seed[n_mels - 1 :: n_mels] = False

    place = is_seed.nonzero()[0]
    first_band, first_bin = table.first_band[: frames + 1], table.first_bin[: frames + 1]
    first_seed = place.searchsorted(first_band)
    if len(set(first_seed.tolist())) <= frames:  # where one ends the next begins, so they are bare
        rows = (first_seed[1:] == first_seed[:-1]).nonzero()[0]
        is_seed[first_band[rows] + np.argmax(levels[before + rows], axis=1)] = True
        place = is_seed.nonzero()[0]
        first_seed = place.searchsorted(first_band)
    band = table.band.take(place)
    from_band = np.empty(len(place) + 1, np.int64)
    from_bin = np.empty(len(place) + 1, np.int64)
    if len(place) > 1:
        # A border is the lowest band after one seed, up to the next: level and band packed into one integer, so
        # that a minimum is an argmin. Across frames this, too, is overwritten below.
        packed = (line[n_mels:] * _LEVEL_STEPS).astype(np.int32)
        packed <<= _BAND_BITS
        packed += table.band32[: frames * n_mels]
        valley = np.minimum.reduceat(packed[: place[-1] + 1], place[:-1] + 1)
        valley &= (1 << _BAND_BITS) - 1
        border = from_band[1:-1]
        np.subtract(place[1:], band[1:], out=border)
        border += valley
        table.bin.take(border, out=from_bin[1:-1])
    from_band[first_seed] = first_band
    from_bin[first_seed] = first_bin
    fresh = is_fresh.take(place)
    begins = fresh.nonzero()[0]
    if len(begins):
        rows = levels[before:]
        frame = first_seed.searchsorted(begins, side="right") - 1
        heard = rows.reshape(-1).take(place[begins]) >= rows.max(axis=1).take(frame) - _HEARD
        begins = np.bincount(frame[heard]).nonzero()[0]  # each once; np.unique would import numpy.ma, 5 ms
    return Decisions(frames, first_seed, place, band, table.bin.take(place), fresh, from_band, from_bin, begins)


class PhaseIntegrator:
    """Sums phase over decisions; its state is the last frame. Results do not depend on how frames are grouped.

    Phases are in turns and, between frames, in double precision. Per frame only the seeds are summed: the phase of
    a bin is that of its seed plus the slope between them, which `cumsum` along the bins provides for all at once.
    """

    def __init__(self, spec: SpectrogramSpec) -> None:
        self._n_mels, self._n_bins = spec.n_mels, spec.n_bins
        bins_to_turns = spec.hop_length / spec.n_fft  # a component at bin f makes f * hop / n_fft turns a hop
        self._advance = axis(spec).centres * bins_to_turns
        self._advance_per_unit = axis(spec).scale * bins_to_turns
        # The last frame's seeds; seed 0 is nobody's: those that start afresh count from it.
        self._theta: Doubles = np.zeros(1)
        self._seed_bin: Indices = np.zeros(1, np.int64)
        self._from_band: Indices = np.full(1, -spec.n_mels)  # where their stretches began, seen from the next frame
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
        here = d.bin  # in `bend`, that is its place in the frame before
        place = np.concatenate([self._seed_bin, here + n_bins])
        from_band = np.concatenate([self._from_band, d.from_band])
        owner = np.arange(len(from_band) - 1).repeat(from_band[1:] - from_band[:-1])  # of each band
        parent = owner.take(d.place)  # the owner of the seed's band, a frame before

        # what is added on the way from the parent's bin in the last frame to the seed's bin in this one
        step = deviation.reshape(-1).take(d.place) * self._advance_per_unit.take(d.band)
        step += self._advance.take(d.band)
        step += flat_bend.take(here) - flat_bend.take(place.take(parent))
        step -= np.rint(step)
        bent = flat_bend.take(place[known:])
        np.copyto(parent, 0, where=d.fresh)
        np.copyto(step, bent, where=d.fresh)
        np.add(step, FIRST_PHASE, out=step, where=d.fresh)

        theta = np.concatenate([self._theta, step])
        starts = d.first_seed.tolist()
        for low, high in zip(starts[:-1], starts[1:], strict=True):
            seeds = theta[known + low : known + high]
            seeds += theta.take(parent[low:high])

        last = known + starts[m - 1]
        self._theta = theta[last - 1 :].copy()
        self._seed_bin = place[last - 1 :] - m * n_bins
        self._from_band = from_band[last - 1 : -1] - m * n_mels
        self._theta[0] = self._seed_bin[0] = 0
        self._from_band[0] = -n_mels
        self._bend = bend[m].copy()

        own = theta[known:]
        own -= np.rint(own)
        own -= bent
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
