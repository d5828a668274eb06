"""Two-channel spectrogram to sound, at once or as a stream.

    fast      peak-locked phase
    balanced  the same, with band levels corrected once and two Griffin-Lim projections in a pipeline
    high      the same start, then 32 iterations over the whole file: not for streams
"""

from __future__ import annotations

from copy import copy
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

from .projection import Projection, refine
from .start import LOOK_AHEAD, StartSpectrum, nepers
from .stft import BLOCK, HopAdder, check_length, place

Floats = NDArray[np.float32]

Quality = Literal["fast", "balanced", "high"]
QUALITIES: tuple[str, ...] = get_args(Quality)

_PROJECTIONS = {"fast": 0, "balanced": 2}
_ITERATIONS = 32  # high


class Synthesizer:
    """A stream of spectrogram frames to a stream of samples. Joined, they equal `synthesize` bit for bit.

    latency_frames: after `f` frames, `max(0, f - latency_frames) * hop_length` samples have come out.
    """

    def __init__(self, spec: SpectrogramSpec, quality: str = "balanced") -> None:
        """Raises InvalidValue for a quality that is unknown, or "high", which needs the whole file."""
        if check_quality(quality) == "high":
            raise InvalidValue("quality 'high' needs the whole file; a stream can have 'fast' or 'balanced'")
        self.spec, self.quality = spec, quality
        overlap = spec.n_fft // spec.hop_length
        self.latency_frames = LOOK_AHEAD + _PROJECTIONS[quality] * (overlap - 1) + overlap // 2
        self._reset()

    def _reset(self) -> None:
        self._start = StartSpectrum(self.spec, correct=self.quality == "balanced")
        self._projections = [Projection(self.spec) for _ in range(_PROJECTIONS[self.quality])]
        self._add = HopAdder(self.spec)
        self._frames = 0

    def twin(self) -> Synthesizer:
        """Another stream that goes on from here. (No stage changes an array that it keeps: they are replaced.)"""
        twin = copy(self)
        twin._start, twin._add = self._start.twin(), copy(self._add)
        twin._projections = [projection.twin() for projection in self._projections]
        return twin

    def finished(self, frames: int) -> int:
        """How many samples the last `frames` of the frames pushed so far have finished."""
        waiting = self._frames - self.latency_frames
        return (max(0, waiting) - max(0, waiting - frames)) * self.spec.hop_length

    def push(self, spectrogram: ArrayLike, decisions_from: ArrayLike | None = None) -> Floats:
        """The next frames [2, n_mels, m], m >= 0 -> the samples they finish [samples].

        `decisions_from` as in `synthesize`; given for all pushes or for none.
        """
        rows = _checked(spectrogram, self.spec, "spectrogram")
        deciding = None if decisions_from is None else _checked_like(decisions_from, rows, self.spec)
        parts = [self._next(rows[:, i : i + BLOCK], None if deciding is None else deciding[i : i + BLOCK], False)
                 for i in range(0, rows.shape[1], BLOCK)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])

    def flush(self) -> Floats:
        """The samples that were waiting for further frames [samples]; the next push begins another recording."""
        rest = np.zeros(0, np.float32)
        if self._frames:
            rest = self._next(np.zeros((2, 0, self.spec.n_mels), np.float32), None, True)
        self._reset()
        return rest

    def _next(self, rows: Floats, deciding: Floats | None, end: bool) -> Floats:
        self._frames += rows.shape[1]
        spectrum, magnitude = self._start(rows, deciding, end)
        for projection in self._projections:
            spectrum, magnitude = projection(spectrum, magnitude, end)
        skip = self.spec.n_fft // self.spec.hop_length // 2  # hops before the recording, and after it
        first = self._add.hops
        hops = self._add(spectrum, end)
        return hops[max(0, skip - first) : len(hops) - (skip if end else 0)].reshape(-1)


def synthesize(
    spectrogram: ArrayLike,
    spec: SpectrogramSpec,
    quality: str = "balanced",
    length: int | None = None,
    decisions_from: ArrayLike | None = None,
) -> Floats:
    """Sound of a spectrogram [2, n_mels, frames], as `analyze` makes it -> float32 [samples].

    (frames - 1) * hop_length samples, or `length`: then cut, or followed by zeros.

    `decisions_from`: another spectrogram of the same shape, whose peaks and onsets are used instead of this one's
    own. Where two spectrograms differ by rounding, their sounds can then be compared sample by sample.

    Raises InvalidValue for a wrong shape, quality or length, NumericError if the spectrogram is not finite.
    """
    check_quality(quality)
    rows = _checked(spectrogram, spec, "spectrogram")
    wanted = check_length(length, spec.samples(rows.shape[1]))
    if quality == "high":
        sound = _high(rows, None if decisions_from is None else _checked_like(decisions_from, rows, spec), spec)
    else:
        stream = Synthesizer(spec, quality)
        sound = np.concatenate([stream.push(rows.transpose(0, 2, 1), decisions_from), stream.flush()])
    result = np.zeros(wanted, np.float32)
    place(result, 0, sound, spec.samples(rows.shape[1]))
    return result


def _high(rows: Floats, deciding: Floats | None, spec: SpectrogramSpec) -> Floats:
    frames = rows.shape[1]
    if frames < 2:
        return np.zeros(0, np.float32)
    start = StartSpectrum(spec, correct=True)
    spectrum = np.empty((frames, spec.n_bins), np.complex64)
    magnitude = np.empty((frames, spec.n_bins), np.float32)
    done = 0
    for i in range(0, frames, BLOCK):
        chosen = None if deciding is None else deciding[i : i + BLOCK]
        block, amplitudes = start(rows[:, i : i + BLOCK], chosen, i + BLOCK >= frames)
        spectrum[done : done + len(block)] = block
        magnitude[done : done + len(block)] = amplitudes
        done += len(block)
    levels = nepers(rows[0], spec.floor_db)
    refine(spectrum, magnitude, levels, spec, _ITERATIONS)
    adder, skip = HopAdder(spec), spec.n_fft // spec.hop_length // 2
    hops = np.concatenate([adder(spectrum[i : i + BLOCK], i + BLOCK >= frames) for i in range(0, frames, BLOCK)])
    sound: Floats = hops[skip:-skip].reshape(-1)
    return sound


def check_quality(quality: str) -> str:
    if quality not in QUALITIES:
        raise InvalidValue(f"quality is {quality!r}; it must be one of {', '.join(QUALITIES)}")
    return quality


def _checked(spectrogram: ArrayLike, spec: SpectrogramSpec, name: str) -> Floats:
    """`spectrogram` in rows, float32 [2, frames, n_mels], or an error that says what was wrong with it."""
    array = np.asarray(spectrogram)
    if array.ndim != 3 or array.shape[:2] != (2, spec.n_mels):
        raise InvalidValue(f"{name} has shape {array.shape}; it must be (2, {spec.n_mels}, frames)")
    if array.dtype.kind != "f":
        raise InvalidValue(f"{name} is of type {array.dtype}; it must be floating point")
    rows: Floats = np.ascontiguousarray(array.transpose(0, 2, 1), np.float32)
    if np.count_nonzero(np.isfinite(rows)) < rows.size:
        raise NumericError(f"{name} holds NaN or infinite numbers")
    return rows


def _checked_like(decisions_from: ArrayLike, rows: Floats, spec: SpectrogramSpec) -> Floats:
    """The levels of `decisions_from`, [frames, n_mels]."""
    other = _checked(decisions_from, spec, "decisions_from")
    if other.shape != rows.shape:
        raise InvalidValue(
            f"decisions_from has {other.shape[1]} frames and the spectrogram {rows.shape[1]}; they must be the same"
        )
    levels: Floats = other[0]
    return levels
