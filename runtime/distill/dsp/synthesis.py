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
        frames = _checked(spectrogram, self.spec, "spectrogram")
        deciding = None if decisions_from is None else _checked_like(decisions_from, frames, self.spec)
        parts = [self._next(_rows(frames, i), None if deciding is None else _rows(deciding, i)[0], False)
                 for i in range(0, frames.shape[2], BLOCK)]
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
    checked = _checked(spectrogram, spec, "spectrogram")
    wanted = check_length(length, spec.samples(checked.shape[2]))
    if quality == "high":
        sound = _high(checked, None if decisions_from is None else _checked_like(decisions_from, checked, spec), spec)
    else:
        stream = Synthesizer(spec, quality)
        sound = np.concatenate([stream.push(checked, decisions_from), stream.flush()])
    result = np.zeros(wanted, np.float32)
    place(result, 0, sound, spec.samples(checked.shape[2]))
    return result


def _high(spectrogram: Floats, deciding: Floats | None, spec: SpectrogramSpec) -> Floats:
    frames = spectrogram.shape[2]
    if frames < 2:
        return np.zeros(0, np.float32)
    start = StartSpectrum(spec, correct=True)
    spectrum = np.empty((frames, spec.n_bins), np.complex64)
    magnitude = np.empty((frames, spec.n_bins), np.float32)
    done = 0
    for i in range(0, frames, BLOCK):
        chosen = None if deciding is None else _rows(deciding, i)[0]
        block, amplitudes = start(_rows(spectrogram, i), chosen, i + BLOCK >= frames)
        spectrum[done : done + len(block)] = block
        magnitude[done : done + len(block)] = amplitudes
        done += len(block)
    levels = nepers(np.ascontiguousarray(spectrogram[0].T), spec.floor_db)
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
    """`spectrogram` as float32 [2, n_mels, frames], or an error that says what was wrong with it."""
    array = np.asarray(spectrogram)
    if array.ndim != 3 or array.shape[:2] != (2, spec.n_mels):
        raise InvalidValue(f"{name} has shape {array.shape}; it must be (2, {spec.n_mels}, frames)")
    if array.dtype.kind != "f":
        raise InvalidValue(f"{name} is of type {array.dtype}; it must be floating point")
    result: Floats = array.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        raise NumericError(f"{name} holds NaN or infinite numbers")
    return result


def _checked_like(decisions_from: ArrayLike, spectrogram: Floats, spec: SpectrogramSpec) -> Floats:
    other = _checked(decisions_from, spec, "decisions_from")
    if other.shape != spectrogram.shape:
        raise InvalidValue(
            f"decisions_from has {other.shape[2]} frames and the spectrogram {spectrogram.shape[2]}; "
            "they must be the same"
        )
    return other


def _rows(spectrogram: Floats, first: int) -> Floats:
    """A block of frames from frame `first` on, as rows [2, m, n_mels]."""
    return np.ascontiguousarray(spectrogram[:, :, first : first + BLOCK].transpose(0, 2, 1))
