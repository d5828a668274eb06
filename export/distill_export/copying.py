"""How near generated sound is to the recordings: distance to the nearest recorded patch, beside that of held-out ones.

The model plays at its defaults through the runtime's own path, and what comes out is analysed as recordings are. Of
channel 0, bands are added up to 64 mel bands (triangles of equal width in mel, 40 Hz to 16 kHz) and frames averaged
in moments of 43 ms; a patch is 4 moments, in dB, from the corpus's loudest band down to 60 dB under it. Distance is
the root mean square of the differences, so it reads as dB.

    generated   to the nearest patch of any recording: the walk goes through all, those held out included
    held out    to the nearest patch of the recordings trained on: what "new" means in this corpus

Recorded patches begin every quarter of a moment, so that a copy is found wherever it lies; of those asked after,
QUERIES are taken, evenly spaced, and patches 40 dB under the corpus's loudest are left out, for silence is near to
silence. Recordings of more than twenty minutes or so (MOST patches) are searched at every second, third, ... place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from distill import dsp
from distill.dsp.axis import axis
from distill.model import Model
from distill.sidecar import Copying, Nearest
from distill.spec import SpectrogramSpec

Array = NDArray[np.float32]

BANDS = 64
MOMENTS = 4  # of a patch
PLACES = 4  # in a moment, where recorded patches begin
QUERIES = 512
MOST = 100_000  # recorded patches that are searched
_MOMENT_SECONDS = 0.043
_LOW_HZ, _HIGH_HZ = 40.0, 16_000.0
_RANGE_DB = 60.0  # under the corpus's loudest band
_SOUNDING_DB = 20.0  # over the end of that range: what a patch must reach to count as sound
_SEEDS, _SECONDS = 4, 10.0
_ROWS = 8192  # recorded patches compared at a time


def measure_copying(model: Model, recordings: Iterable[tuple[bool, Array]]) -> Copying:
    """Play the model at its defaults and compare.

    recordings: whether it was held out, and its spectrogram [2, n_mels, frames] in dB and IF units.
    """
    bank = mel_bank(model.spec)
    held_out: list[Array] = []  # as it is asked after
    known: list[Array] = []  # as it is searched: the training recordings ...
    unknown: list[Array] = []  # ... and those held out
    for out, spectrogram in recordings:
        if out:
            held_out.append(moments(spectrogram[0], bank, model.spec))
        (unknown if out else known).extend(everywhere(spectrogram[0], bank, model.spec))
    made = [moments(dsp.analyze(model.generate(_SECONDS, seed=seed, loudness="model"), model.spec)[0], bank, model.spec)
            for seed in range(_SEEDS)]
    floor = max(float(part.max()) for part in (*known, *unknown)) - _RANGE_DB
    return Copying(generated=_nearest(made, [*known, *unknown], floor),
                   held_out=_nearest(held_out, known, floor) if held_out else None)


def mel_bank(spec: SpectrogramSpec) -> Array:
    """Weights [BANDS, n_mels] of a spec's bands in mel bands; rows sum to one. One narrower than a band has that."""
    hertz = axis(spec).centres * spec.sample_rate / spec.n_fft
    edges = np.linspace(_mel(_LOW_HZ), _mel(min(_HIGH_HZ, spec.sample_rate / 2)), BANDS + 2)
    places, low, mid, high = _mel(hertz), edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.maximum(0, np.minimum((places - low) / (mid - low), (high - places) / (high - mid)))
    nearest = np.abs(places - mid).argmin(axis=1)
    bank[np.arange(BANDS), nearest] = np.maximum(bank[np.arange(BANDS), nearest], 1e-3)
    result: Array = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def everywhere(level: Array, bank: Array, spec: SpectrogramSpec) -> list[Array]:
    """`moments` of a recording from each of PLACES beginnings in its first moment, as far as there are frames."""
    size = _frames(spec)
    offsets = range(0, min(size, level.shape[1]), max(1, size // PLACES))
    return [moments(level[:, offset:], bank, spec) for offset in offsets]


def moments(level: Array, bank: Array, spec: SpectrogramSpec) -> Array:
    """Levels [n_mels, frames], dB -> levels [moments, BANDS], dB; a last moment may be cut short."""
    size = _frames(spec)
    power = bank @ np.exp(level * np.float32(np.log(10) / 10))
    starts = np.arange(0, power.shape[1], size)
    lengths = np.diff(np.append(starts, power.shape[1]))
    mean = np.add.reduceat(power, starts, axis=1) / lengths
    result: Array = (10 * np.log10(np.maximum(mean, 1e-20))).T.astype(np.float32)
    return result


def patches(levels: Array, floor_db: float) -> Array:
    """Levels [moments, BANDS] -> patches [moments - MOMENTS + 1 or 1, MOMENTS * BANDS], dB over the floor."""
    over = np.maximum(levels - np.float32(floor_db), 0)
    over = np.pad(over, ((0, max(0, MOMENTS - len(over))), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(over, MOMENTS, axis=0)
    return view.reshape(len(view), -1)


def distances(queries: Array, recordings: Sequence[Array], floor_db: float) -> NDArray[np.float64]:
    """Root mean square distance [queries], dB, to the nearest patch of recordings [moments, BANDS] each."""
    step = 1 + sum(map(len, recordings)) // MOST
    best = np.full(len(queries), np.inf, np.float32)
    own = np.square(queries).sum(axis=1)
    for levels in recordings:
        for start in range(0, max(1, len(levels) - MOMENTS + 1), _ROWS):
            part = patches(levels[start:start + _ROWS + MOMENTS - 1], floor_db)[::step]
            squared = own[:, None] + np.square(part).sum(axis=1) - 2 * queries @ part.T
            np.minimum(best, squared.min(axis=1), out=best)
    result: NDArray[np.float64] = np.sqrt(np.maximum(best, 0).astype(np.float64) / queries.shape[1])
    return result


def _nearest(sounds: Sequence[Array], recordings: Sequence[Array], floor_db: float) -> Nearest:
    asked = np.concatenate([patches(levels, floor_db) for levels in sounds])
    sounding = asked[asked.max(axis=1) >= _SOUNDING_DB]
    asked = sounding if len(sounding) else asked
    asked = asked[np.linspace(0, len(asked) - 1, min(QUERIES, len(asked))).astype(int)]
    found = distances(asked, recordings, floor_db)
    return Nearest(median_db=round(float(np.median(found)), 2), p10_db=round(float(np.percentile(found, 10)), 2))


def _frames(spec: SpectrogramSpec) -> int:
    """Spectrogram frames in a moment."""
    return max(1, round(_MOMENT_SECONDS * spec.frame_rate_hz))


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))
