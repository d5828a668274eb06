"""The one path from knobs to samples, for every mode, model and blend:

    voice -> spectrogram pieces -> phase and ISTFT -> gain -> two channels -> limiter -> fades, exact length -> blocks
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .arrays import not_on_host
from .cuda import guarded
from .errors import InvalidValue, NumericError
from .foreseen import Foreseen
from .knobs import Knobs, Quality
from .limiter import limited
from .loop import LoopFrames, check_loop, closed, dropped, sealed
from .spec import SpectrogramSpec

Array = NDArray[np.float32]

LONGEST_SECONDS = 24 * 3600.0  # of one call with seconds=; endless streams have no limit
_FIRST_PUSH, _PUSH = 16, 64  # frames turned into samples at a time: few at first, so that a stream begins soon
_FADE_IN, _FADE_OUT = 0.005, 0.02  # seconds; a sound that is cut out of another neither starts nor ends with a click


class Voice(Protocol):
    """What can be rendered as spectrograms: a model, or several of them blended."""

    @property
    def spec(self) -> SpectrogramSpec:
        """What its spectrograms mean."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def gain_db(self) -> float:
        """What makes it as loud as other voices."""

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[Any]:
        """Pieces [2, n_mels, any] in dB and IF units, at least `frames` of them in all, endless for None.

        They are numpy's arrays or, on a GPU, CuPy's.
        """


@runtime_checkable
class Mixture(Protocol):
    """What can only be rendered as sound: models of different spectrograms, mixed."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    def sounds(self, knobs: Knobs, total: int | None, lane: int = 0) -> Iterator[Array]:
        """Pieces of samples as `sounded` gives them, at least `total` in all, endless for None."""


def render(voice: Voice | Mixture, knobs: Knobs, seconds: float | None, hop: int | None = None) -> Iterator[Array]:
    """Pieces of samples; checks everything now, makes sound when asked for. `seconds` None: endless.

    hop: samples that the stages after synthesis handle at a time, a power of two; a sound that is steered has few.
    Raises InvalidValue for seconds out of range, and for quality "high" without an end.
    """
    total = None if seconds is None else samples_of(seconds, voice.sample_rate)
    if total is None and knobs.quality == "high":
        raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
    if knobs.loop:
        check_loop(total, voice.sample_rate)
    pieces = _placed(voice, knobs, total, hop)
    if knobs.loudness == "equal":
        pieces = limited(pieces, voice.sample_rate, hop)
    if knobs.loop and total is not None:
        return sealed(pieces, total, voice.sample_rate)
    return _faded(pieces, total, voice.sample_rate)


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


def sounded(voice: Voice | Mixture, knobs: Knobs, total: int | None, lane: int = 0) -> Iterator[Array]:
    """The bare sound, before anything is done to the whole: pieces of at least `total` samples, endless for None.

    lane: 0, or 1 for the companion that makes it wide. With loudness "equal" the voice's gain is in it. A loop comes
    with its lead and with what follows it, to be cut out by `sealed`.
    """
    if isinstance(voice, Mixture):
        return voice.sounds(knobs, total, lane)
    loop = LoopFrames(voice.spec, check_loop(total, voice.sample_rate)) if knobs.loop else None
    # Called here, not when sound is asked for: voices check the knobs, and nothing should be begun with wrong ones.
    frames = loop.needed if loop else None if total is None else voice.spec.frames(total)
    pieces = voice.spectrograms(knobs, frames, lane)
    if loop:
        sound = dropped(synthesized(closed(pieces, loop), voice.spec, knobs.quality), loop.surplus)
    else:
        sound = synthesized(pieces, voice.spec, knobs.quality, total)
    return _amplified(sound, voice.gain_db) if knobs.loudness == "equal" else sound


def _placed(voice: Voice | Mixture, knobs: Knobs, total: int | None, hop: int | None) -> Iterator[Array]:
    """One channel, [any], or two, [2, any], for loudspeakers or headphones."""
    mid = _finite(sounded(voice, knobs, total))
    if knobs.channels == 1:
        return mid
    from .binaural import at_the_ears
    from .stereo import widened

    rate, width = voice.sample_rate, knobs.chosen("width")
    pair = (np.stack([piece, piece]) for piece in mid) if width == 0 else \
        widened(mid, _finite(sounded(voice, knobs, total, 1)), rate, width, hop)
    if not knobs.binaural:
        return pair
    return at_the_ears(pair, rate, knobs.chosen("azimuth"), knobs.chosen("turn"), width, hop)


def synthesized(pieces: Iterator[Any], spec: SpectrogramSpec, quality: Quality,
                total: int | None = None) -> Iterator[Array]:
    """Pieces [2, n_mels, any] of one spectrogram, in whatever memory -> its samples in pieces, in the host's.

    total: samples wanted, of quality "high" alone. Raises DeviceError where a GPU fails.
    """
    foreseen = pieces if isinstance(pieces, Foreseen) else None
    elsewhere, pieces = not_on_host(pieces)
    if elsewhere:
        from .dsp import portable

        with guarded():
            yield from portable.sound(pieces, spec, quality, total)
        return
    if quality == "high":
        yield dsp.synthesize(np.concatenate(list(pieces), axis=2), spec, "high", total)
        return
    synthesizer = dsp.Synthesizer(spec, quality)
    if foreseen:
        ahead = dsp.ForesightedSynthesizer(synthesizer)
        for piece in pieces:
            yield ahead.push(piece, foreseen.ahead)
        yield ahead.flush()
        return
    size = _FIRST_PUSH
    for piece in pieces:
        start = 0
        while start < piece.shape[2]:
            yield synthesizer.push(piece[:, :, start:start + size])
            start, size = start + size, _PUSH
    yield synthesizer.flush()


def _amplified(pieces: Iterator[Array], gain_db: float) -> Iterator[Array]:
    factor = np.float32(10 ** (gain_db / 20))
    return (piece * factor for piece in pieces)


def _finite(pieces: Iterator[Array]) -> Iterator[Array]:
    for piece in pieces:
        if not np.isfinite(piece).all():
            raise NumericError("synthesis gave samples that are not finite")
        yield piece


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
