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
Indices = NDArray[np.int64]
Turns = NDArray[np.int32]  # modulo two turns

_ONSET = np.float32(18 / 20 * math.log(10))  # 18 dB, nepers
# A band that lay at most SLACK under both neighbours before is a peak that they have grown over. Where its level rests
# instead, it is the second of two bins that share one partial: with a phase of its own it would cancel the first.
_SLACK, _RESTS = np.float32(0.2), np.float32(0.15)  # nepers
_HEARD = np.float32(40 / 20 * math.log(10))  # nepers under the loudest band of its frame, within which an onset counts
TURN = 1 << 31  # units of a phase that make one
_FIRST = np.int32(TURN // 8)  # phase of what begins, where its group delay puts it
_BAND_BITS = 14  # n_mels < 2^14
_LEVEL_STEPS = np.float32(2048.0)  # per neper, when a level and a band share one integer


class Decisions(Struct, frozen=True, eq=False):
    """Seeds of `frames` consecutive frames, in order, and the stretch of bands and bins that each of them owns.

    first_seed: [frames + 1]  index of each frame's first seed; the last entry is the number of seeds
    place:      [seeds]       where the seed sits: frame * n_mels + band
    band, bin:  [seeds]       the band of that; frame * n_bins + the bin nearest to its centre
    fresh:      [any]         the seeds, ascending, that start afresh and do not go on from the frame before
    from_band:  [seeds + 1]   where its stretch begins: frame * n_mels + band; the last entry is frames * n_mels
    from_bin:   [seeds + 1]   the same in bins: frame * n_bins + bin
    onsets:     the frames, ascending, in which something begins that can be heard
    """

    frames: int
    first_seed: Indices
    place: Indices
    band: Indices
    bin: Indices
    fresh: Indices
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
        table.bin.take(border, out=from_bin[1:-1], mode="clip")
    from_band[first_seed] = first_band
    from_bin[first_seed] = first_bin
    fresh = is_fresh.take(place).nonzero()[0]
    onsets = fresh
    if len(fresh):
        rows = levels[before:]
        frame = first_seed.searchsorted(fresh, side="right") - 1
        least = np.maximum.reduce(rows, axis=1)
        least -= _HEARD
        heard = rows.reshape(-1).take(place.take(fresh)) >= least.take(frame)
        onsets = np.bincount(frame[heard]).nonzero()[0]  # each once; np.unique would import numpy.ma, 5 ms
    return Decisions(frames, first_seed, place, band, table.bin.take(place), fresh, from_band, from_bin, onsets)


class PhaseIntegrator:
    """Sums phase over decisions; its state is the last frame. Results do not depend on how frames are grouped.

    Phases are whole numbers, as in an oscillator that is tuned by one: they wrap by themselves, and no sum of them is
    ever rounded. Per frame only the seeds' are summed. The phase of a bin is that of its seed plus the slope between
    them, so it is the slopes' running sum along the bins (the bend) plus what its whole stretch has besides (its own).
    """

    def __init__(self, spec: SpectrogramSpec) -> None:
        self._n_mels, self._n_bins = spec.n_mels, spec.n_bins
        self._advance, self._advance_per_unit = advances(spec)
        # the last frame
        self._own: Turns = np.zeros(1, np.int32)  # of its stretches; 0 is nobody's, whom those that start afresh add to
        self._begins: Indices = np.zeros(spec.n_mels, np.int64)  # 1 where one begins
        self._bend: Turns = np.zeros(spec.n_bins, np.int32)

    def __call__(self, decisions: Decisions, deviation: Floats, slopes: Floats) -> Turns:
        """Phase [m, n_bins], of which TURN make a turn, of the next m >= 1 frames.

        deviation: [m, n_mels] spectrogram channel 1
        slopes:    [m, n_bins] slope of the phase along frequency, turns per bin, within +-1
        """
        d, m, n_mels = decisions, decisions.frames, self._n_mels
        bend = np.empty((m + 1, self._n_bins), np.int32)  # row 0: the last frame
        bend[0] = self._bend
        sums = bend[1:]
        np.multiply(slopes, np.float32(TURN), out=sums, casting="unsafe")
        np.add.accumulate(sums, axis=1, out=sums)

        begins = np.zeros((m + 1) * n_mels, np.int64)
        begins[:n_mels] = self._begins
        begins[n_mels:][d.from_band[:-1]] = 1
        parent = np.add.accumulate(begins[:-n_mels]).take(d.place)  # the stretch that its band was in, a frame before
        known = len(self._own)  # the last frame's come first

        # what a stretch has more than its parent: the seed's advance, less what the bend at its bin makes of it
        advance = (deviation * self._advance_per_unit).reshape(-1).take(d.place).astype(np.int64)
        advance += self._advance.take(d.band)
        step = advance.astype(np.int32)
        step += (bend[:-1] - sums).reshape(-1).take(d.bin)
        if len(d.fresh):
            parent[d.fresh] = 0
            step[d.fresh] = _FIRST

        own = np.concatenate([self._own, step])
        starts = d.first_seed.tolist()
        for low, high in zip(starts[:-1], starts[1:], strict=True):
            stretches = own[known + low : known + high]
            stretches += own.take(parent[low:high])

        self._own = own[known + starts[m - 1] - 1 :].copy()
        self._own[0] = 0
        self._begins = begins[-n_mels:].copy()
        self._bend = bend[m].copy()
        sums += own[known:].repeat(d.from_bin[1:] - d.from_bin[:-1]).reshape(m, self._n_bins)
        return sums


@lru_cache(maxsize=16)
def advances(spec: SpectrogramSpec) -> tuple[Indices, Floats]:
    """What a component at each band's centre adds to its phase in a hop, [n_mels] int64, of which TURN make a turn,

    and what one unit of spectrogram channel 1 adds to that, [n_mels] float32.
    """
    units = TURN * spec.hop_length / spec.n_fft  # of a component one bin above 0
    return np.rint(axis(spec).centres * units).astype(np.int64), (axis(spec).scale * units).astype(np.float32)
