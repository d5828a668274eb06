"""What a listener would say about a sound, in six numbers: what sliders are named after.

All on scales on which equal steps sound about equally large (octaves, dB), and all but the level itself weighted by
level, so that a silent tail says nothing about the sound before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from distill import dsp
from distill.spec import SpectrogramSpec

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

# Key: (what a slider that moves it is called, unit of the number). The more telling first: where several follow a
# slider about equally well, as all but level and flatness do when a sound gets brighter, that one gives the name.
DESCRIPTORS = {
    "pitch": ("Pitch", "octaves"),
    "centroid": ("Brightness", "octaves"),
    "rms": ("Loudness", "dB"),
    "flatness": ("Noisiness", "dB"),
    "rolloff": ("Sharpness", "octaves"),
    "zero_crossings": ("Buzz", "octaves"),
}
_SILENCE_DB = -100.0  # dBFS: under it there is nothing to describe
_VALLEY = 1e-8  # of a frame's peak power: how deep the valleys between partials are is not heard
_ROLLOFF = 0.85
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 4000.0  # of pitch
_VOICED = 0.15  # YIN's threshold of aperiodicity


def describe(samples: Array, spec: SpectrogramSpec, keys: Iterable[str] = DESCRIPTORS) -> dict[str, float]:
    """samples: [any] -> the descriptors asked for; NaN where the sound has no such thing (silence, no pitch).

    centroid: log2 of the magnitude-weighted mean frequency in Hz. rms: dBFS. flatness: dB, the geometric over the
    arithmetic mean of power. rolloff: log2 Hz, 85 % of the power lies below. zero_crossings: log2 of their number a
    second. pitch: log2 Hz.
    """
    energy = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    level = 10 * float(np.log10(max(energy, 1e-20)))
    if level < _SILENCE_DB:
        return {key: level if key == "rms" else float("nan") for key in keys}
    magnitude = np.abs(dsp.stft(samples, spec))[1:].astype(np.float64)  # [n_bins - 1, frames], without 0 Hz
    hz = np.arange(1, spec.n_bins) * spec.sample_rate / spec.n_fft
    measure: dict[str, Callable[[], float]] = {
        "centroid": lambda: np.log2((hz @ magnitude.sum(axis=1)) / magnitude.sum()),
        "rms": lambda: level,
        "flatness": lambda: _flatness(magnitude),
        "rolloff": lambda: np.log2(hz[_part(np.square(magnitude).sum(axis=1), _ROLLOFF)]),
        "zero_crossings": lambda: np.log2(max(_crossings(samples) * spec.sample_rate / len(samples), 1.0)),
        "pitch": lambda: _pitch(samples.astype(np.float64), spec.sample_rate),
    }
    return {key: float(measure[key]()) for key in keys}


def _part(values: Floats, share: float) -> int:
    """Index at which the sum of `values` so far reaches `share` of the whole."""
    cumulated = np.cumsum(values)
    return int(np.searchsorted(cumulated, share * cumulated[-1]))


def _crossings(samples: Array) -> int:
    negative = np.signbit(samples)
    return int(np.count_nonzero(negative[1:] != negative[:-1]))


def _flatness(magnitude: Floats) -> float:
    """dB, mean over frames weighted by their magnitude."""
    power = np.square(magnitude)
    power = np.maximum(power, np.maximum(power.max(axis=0) * _VALLEY, 1e-20))
    frames = 10 * np.log10(np.exp(np.log(power).mean(axis=0)) / power.mean(axis=0))
    return float(np.average(frames, weights=magnitude.sum(axis=0)))


def _pitch(samples: Floats, sample_rate: int) -> float:
    """log2 Hz: the level-weighted median over frames that are periodic, by YIN (de Cheveigne and Kawahara, 2002).

    d(lag) is the energy of x[t] - x[t + lag] over a window; divided by its mean over all shorter lags it is near 0 at
    a period and near 1 elsewhere. NaN where less than half of the sound, by level, is periodic.
    """
    longest = int(sample_rate / _LOWEST_HZ)
    shortest = max(2, int(sample_rate / min(_HIGHEST_HZ, sample_rate / 4)))
    starts = range(0, len(samples) - 2 * longest + 1, 2 * longest)
    if len(starts) == 0:
        return float("nan")
    frames = np.stack([samples[s:s + 2 * longest] for s in starts])
    size = 4 * longest
    window = np.fft.rfft(frames[:, :longest], size, axis=1)
    product = np.fft.irfft(np.fft.rfft(frames, size, axis=1) * window.conj(), size, axis=1)[:, :longest + 1]
    energy = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    moving = energy[:, longest:2 * longest + 1] - energy[:, :longest + 1]  # of the window moved by each lag
    difference = np.maximum(moving[:, :1] + moving - 2 * product, 0)
    lags = np.arange(1, longest + 1)
    normalised = difference[:, 1:] * lags / np.maximum(np.cumsum(difference[:, 1:], axis=1), 1e-20)  # [frames, lags]
    level = np.sqrt(moving[:, 0])
    found = np.array([_period(row, shortest) for row in normalised])
    voiced = np.isfinite(found)
    if level[voiced].sum() < 0.5 * level.sum():
        return float("nan")
    order = np.argsort(found[voiced], kind="stable")
    return float(np.log2(sample_rate / found[voiced][order][_part(level[voiced][order], 0.5)]))


def _period(normalised: Floats, shortest: int) -> float:
    """Samples: the bottom of the first dip under the threshold, between samples by a parabola; NaN without one.

    normalised: [lags], entry 0 is lag 1.
    """
    below = np.flatnonzero(normalised[shortest - 1:-1] < _VOICED)
    if len(below) == 0:
        return float("nan")
    at = int(below[0]) + shortest - 1
    while at + 2 < len(normalised) and normalised[at + 1] < normalised[at]:
        at += 1
    left, middle, right = normalised[at - 1], normalised[at], normalised[at + 1]
    bend = left - 2 * middle + right
    return float(at + 1 + (0.5 * (left - right) / bend if bend > 0 else 0.0))
