"""A recording played by a model: encoded, decoded, and brought to the recording's own level.

The decoder knows the levels of its corpus. What it makes of a stranger may be louder or softer than that was, and
differently so from moment to moment, so the result is led back to the recording in two steps:

    envelope   g[k] = sqrt(P[k] / Q[k]), with P and Q the powers of recording and result over about 50 ms around step
               k (10 ms each); at most 12 dB above the gain that the two have on the whole, since where the model is
               silent there is nothing to raise. Silence stays silence.
    loudness   one constant gain, so that both read the same LUFS (ITU-R BS.1770-4); then the limiter.

Both need the whole first, so the result waits in a temporary file.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .errors import FileError, NumericError
from .knobs import Quality
from .limiter import limited
from .loudness import Meter
from .model import Model
from .render import synthesized
from .stereo import together

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Tell = Callable[[float], None]  # seconds of sound that have been made

_STEP_SECONDS = 0.01
_REACH = 4  # steps to either side
_MOST_DB = 12.0
_IN_MEMORY = 64 << 20  # bytes; beyond, the temporary file is a real one
_BLOCK = 1 << 16  # samples


class Resynthesis:
    """One recording through one model: a context, in which one `prepare`s and then takes the sound from `pieces`.

    recording: pieces [channels, any] at the model's rate. Each channel goes through the model by itself. follow:
    bring the result to the recording's level; without, it has the model's own.
    """

    def __init__(self, model: Model, recording: Iterable[Array], channels: int, quality: Quality = "balanced",
                 follow: bool = True) -> None:
        """Raises BundleError where the model has no encoder, InvalidValue for an unknown quality."""
        dsp.synthesis.check_quality(quality)
        self._model, self._recording, self._channels = model, recording, channels
        self._quality, self._follow = quality, follow
        _ = model._encoder
        self._step = round(_STEP_SECONDS * model.sample_rate)
        self._store: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)
        self._meter = Meter(model.sample_rate)
        self._powers = [(_Steps(self._step), _Steps(self._step)) for _ in range(channels)]
        self.samples = 0  # a channel

    def __enter__(self) -> Resynthesis:
        return self

    def __exit__(self, *error: object) -> None:
        self._store.close()

    def prepare(self, tell: Tell = lambda seconds: None) -> None:
        """Make the sound, as the model makes it. Raises what reading the recording raises, FileError, NumericError."""
        copies = itertools.tee(self._recording, self._channels)
        lines = [self._line(copy, channel) for channel, copy in enumerate(copies)]
        for pairs in zip(*lines, strict=True):  # the channels are cut alike
            given = np.stack([pair[0] for pair in pairs])
            made = np.stack([pair[1] for pair in pairs])
            if not np.isfinite(made).all():
                raise NumericError("synthesis gave samples that are not finite")
            self._meter.push(given)
            for (p, q), x, y in zip(self._powers, given, made, strict=True):
                p.add(x)
                q.add(y)
            try:
                self._store.write(np.ascontiguousarray(made.T).tobytes())
            except OSError as error:
                raise FileError(f"the temporary file cannot be written ({error.strerror})") from None
            self.samples += made.shape[1]
            tell(made.shape[1] / self._model.sample_rate)

    def pieces(self) -> Iterator[Array]:
        """Pieces [channels, any], as long in all as the recording."""
        if not self._follow:
            yield from self._stored()
            return
        followed = Meter(self._model.sample_rate)
        envelopes = self._envelopes()
        for piece in self._led(envelopes):
            followed.push(piece)
        wanted, found = self._meter.lufs, followed.lufs
        gain = np.float32(10 ** ((wanted - found) / 20) if math.isfinite(wanted) and math.isfinite(found) else 1.0)
        yield from limited((piece * gain for piece in self._led(envelopes)), self._model.sample_rate)

    def _line(self, recording: Iterable[Array], channel: int) -> Iterator[tuple[Array, Array]]:
        """One channel: pieces of it, and of what the model makes of it, equally long."""
        heard, encoded = itertools.tee(piece[channel] for piece in recording)
        return together(heard, synthesized(self._model.decoded(self._model.encoded(encoded)), self._model.spec,
                                           self._quality))

    def _stored(self) -> Iterator[Array]:
        self._store.seek(0)
        width = 4 * self._channels
        while data := self._store.read(_BLOCK * width):
            yield np.frombuffer(data, np.float32).reshape(-1, self._channels).T.copy()

    def _led(self, envelopes: list[Doubles]) -> Iterator[Array]:
        """What was made, under its envelopes; straight lines from the middle of each step to that of the next."""
        done = 0
        middles = (np.arange(len(envelopes[0])) + 0.5) * self._step
        for piece in self._stored():
            at = np.arange(done, done + piece.shape[1]) + 0.5
            for line, envelope in zip(piece, envelopes, strict=True):
                line *= np.interp(at, middles, envelope).astype(np.float32)
            done += piece.shape[1]
            yield piece

    def _envelopes(self) -> list[Doubles]:
        """Gains of each channel, one a step."""
        result = []
        for p, q in self._powers:
            given, made = p.values, q.values
            most = math.sqrt(given.sum() / max(made.sum(), 1e-20)) * 10 ** (_MOST_DB / 20)
            given, made = _smooth(given), _smooth(made)
            gain: Doubles = np.sqrt(given / np.maximum(made, 1e-20))
            result.append(np.minimum(gain, most))
        return result


def _smooth(powers: Doubles) -> Doubles:
    weights = np.hanning(2 * _REACH + 3)[1:-1]
    padded = np.pad(powers, _REACH, mode="edge")
    smooth: Doubles = np.convolve(padded, weights / weights.sum(), "valid")
    return smooth


class _Steps:
    """Mean power of each step of a line of samples; the last may be shorter."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._done: list[Doubles] = []
        self._rest = np.empty(0, np.float32)

    def add(self, samples: Array) -> None:
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) - len(joined) % self._step
        self._done.append(np.square(joined[:whole], dtype=np.float64).reshape(-1, self._step).mean(axis=1))
        self._rest = joined[whole:]

    @property
    def values(self) -> Doubles:
        last = [np.array([np.square(self._rest, dtype=np.float64).mean()])] if len(self._rest) else []
        return np.concatenate([np.empty(0), *self._done, *last])
