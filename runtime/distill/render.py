"""The one path from knobs to samples, for every mode, model and blend:

    voice -> spectrogram pieces -> phase and ISTFT -> ends faded, length exact -> blocks
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .errors import InvalidValue, NumericError
from .knobs import Knobs
from .spec import SpectrogramSpec

Array = NDArray[np.float32]

LONGEST_SECONDS = 24 * 3600.0  # of one call with seconds=; endless streams have no limit
_FADE_IN, _FADE_OUT = 0.005, 0.02  # seconds; a sound that is cut out of another neither starts nor ends with a click


class Voice(Protocol):
    """What can be rendered: a model, or several of them blended."""

    @property
    def spec(self) -> SpectrogramSpec:
        """What its spectrograms mean."""

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[Array]:
        """Pieces [2, n_mels, any] in dB and IF units, at least `frames` of them in all, endless for None."""


def render(voice: Voice, knobs: Knobs, seconds: float | None) -> Iterator[Array]:
    """Pieces of samples; checks everything now, makes sound when asked for. `seconds` None: endless.

    Raises InvalidValue for seconds out of range, and for quality "high" without an end.
    """
    total = None if seconds is None else samples_of(seconds, voice.spec.sample_rate)
    if total is None and knobs.quality == "high":
        raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
    frames = None if total is None else voice.spec.frames(total)
    return _faded(_synthesized(voice, knobs, frames, total), total, voice.spec.sample_rate)


def samples_of(seconds: float, sample_rate: int) -> int:
    """Samples that `seconds` mean, at least one. Raises InvalidValue for what is no length."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidValue(f"seconds is {seconds!r}; it must be a number above 0 and at most {LONGEST_SECONDS:.0f}")
    return max(1, round(seconds * sample_rate))


def blocks(pieces: Iterator[Array], size: int) -> Iterator[Array]:
    """The same samples [..., any], `size` at a time; the last block may be shorter."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 1 << 26:
        raise InvalidValue(f"block is {size!r}; it must be a whole number of samples, at least 1")
    return _blocks(pieces, size)


def _synthesized(voice: Voice, knobs: Knobs, frames: int | None, total: int | None) -> Iterator[Array]:
    pieces = voice.spectrograms(knobs, frames)
    if knobs.quality == "high":
        yield dsp.synthesize(np.concatenate(list(pieces), axis=2), voice.spec, "high", total)
        return
    synthesizer = dsp.Synthesizer(voice.spec, knobs.quality)
    for piece in pieces:
        yield synthesizer.push(piece)
    yield synthesizer.flush()


def _faded(pieces: Iterator[Array], total: int | None, sample_rate: int) -> Iterator[Array]:
    """Short fades at the ends, and exactly `total` samples."""
    fade_in = _ramp(round(_FADE_IN * sample_rate))
    fade_out = _ramp(round(_FADE_OUT * sample_rate))[::-1]
    done = 0
    for piece in pieces:
        if total is not None:
            piece = piece[..., :total - done]
        count = piece.shape[-1]
        if count == 0:
            continue
        if not np.isfinite(piece).all():
            raise NumericError("synthesis gave samples that are not finite")
        if done < len(fade_in):
            part = fade_in[done:done + count]
            piece[..., :len(part)] *= part
        if total is not None and done + count > total - len(fade_out):
            first = max(0, total - len(fade_out) - done)
            at = done + first - (total - len(fade_out))
            piece[..., first:] *= fade_out[at:at + count - first]
        yield piece
        done += count


def _ramp(samples: int) -> Array:
    """Half a Hann window, 0 to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)


def _blocks(pieces: Iterator[Array], size: int) -> Iterator[Array]:
    waiting: list[Array] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.shape[-1]
        if count < size:
            continue
        joined = np.concatenate(waiting, axis=-1)
        whole = count - count % size
        for start in range(0, whole, size):
            yield joined[..., start:start + size]
        waiting, count = [joined[..., whole:]], count - whole
    if count:
        yield np.concatenate(waiting, axis=-1)
