"""Two-channel spectrogram to sound, at once or as a stream, for arrays of any library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.arrays import namespace, on_host
from distill.dsp.start import LOOK_AHEAD
from distill.dsp.stft import check_length
from distill.dsp.synthesis import _ITERATIONS, _PROJECTIONS, check_quality
from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

from .frames import HopAdder, Projection, refine
from .start import StartSpectrum, nepers
from .tables import tables

Array = Any

_BLOCK = 1024  # frames at a time: many, since every step of a block has a price of its own on a GPU


class Synthesizer:
    """A stream of spectrogram frames to a stream of samples; joined, they equal `synthesize` up to rounding.

    latency_frames: after `f` frames, `max(0, f - latency_frames) * hop_length` samples have come out.
    """

    def __init__(self, spec: SpectrogramSpec, quality: str, xp: Any) -> None:
        """Raises InvalidValue for a quality that is unknown, or "high", which needs the whole file."""
        if check_quality(quality) == "high":
            raise InvalidValue("quality 'high' needs the whole file; a stream can have 'fast' or 'balanced'")
        self._tables, self._quality = tables(spec, xp), quality
        overlap = self._tables.overlap
        self.latency_frames = LOOK_AHEAD + _PROJECTIONS[quality] * (overlap - 1) + overlap // 2
        self._reset()

    def _reset(self) -> None:
        self._start = StartSpectrum(self._tables, correct=self._quality == "balanced")
        self._projections = [Projection(self._tables) for _ in range(_PROJECTIONS[self._quality])]
        self._add = HopAdder(self._tables)
        self._begun = False

    def push(self, spectrogram: Array, decisions_from: Array | None = None) -> Array:
        """The next frames [2, n_mels, m], m >= 0 -> the samples they finish [samples].

        `decisions_from` as in `synthesize`; given for all pushes or for none.
        """
        xp, spec = self._tables.xp, self._tables.spec
        rows = _rows(spectrogram, spec, xp)
        deciding = None if decisions_from is None else _deciding(decisions_from, rows, spec, xp)
        parts = [xp.zeros(0, dtype=xp.float32)]
        for i in range(0, rows.shape[1], _BLOCK):
            block = slice(i, min(i + _BLOCK, rows.shape[1]))
            parts.append(self._next(rows[:, block, :], None if deciding is None else deciding[block, :], False))
        return xp.concat(parts, axis=0)

    def flush(self) -> Array:
        """The samples that were waiting for further frames [samples]; the next push begins another recording."""
        xp = self._tables.xp
        rest = xp.zeros(0, dtype=xp.float32)
        if self._begun:
            rest = self._next(xp.zeros((2, 0, self._tables.spec.n_mels), dtype=xp.float32), None, True)
        self._reset()
        return rest

    def _next(self, rows: Array, deciding: Array | None, end: bool) -> Array:
        self._begun = True
        spectrum, magnitude = self._start(rows, deciding, end)
        for projection in self._projections:
            spectrum, magnitude = projection(spectrum, magnitude, end)
        skip = self._tables.overlap // 2  # hops before the recording, and after it
        first = self._add.hops
        hops = self._add(spectrum, end)
        hops = hops[min(max(0, skip - first), hops.shape[0]) : hops.shape[0] - (skip if end else 0), :]
        return self._tables.xp.reshape(hops, (-1,))


def synthesize(spectrogram: Array, spec: SpectrogramSpec, quality: str = "balanced", length: int | None = None,
               decisions_from: Array | None = None, *, xp: Any) -> Array:
    """As `distill.synthesize`, for and with arrays of `xp`: [2, n_mels, frames] -> [samples] float32.

    Raises InvalidValue for a wrong shape, quality or length, NumericError if the spectrogram is not finite.
    """
    check_quality(quality)
    rows = _rows(spectrogram, spec, xp)
    total = spec.samples(rows.shape[1])
    wanted = check_length(length, total)
    if quality == "high":
        sound = _high(rows, None if decisions_from is None else _deciding(decisions_from, rows, spec, xp), spec, xp)
    else:
        stream = Synthesizer(spec, quality, xp)
        sound = xp.concat([stream.push(spectrogram, decisions_from), stream.flush()], axis=0)
    silence = xp.zeros(max(0, wanted - total), dtype=xp.float32)
    return xp.concat([sound[: min(wanted, total)], silence], axis=0)


def sound(pieces: Iterable[Array], spec: SpectrogramSpec, quality: str,
          length: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Pieces [2, n_mels, any] of one spectrogram, in whatever memory -> its samples in pieces, in the host's.

    length: as in `synthesize`, and of quality "high" alone.
    """
    stream: Synthesizer | None = None
    held: list[Array] = []
    for piece in pieces:
        if quality == "high":
            held.append(piece)
            continue
        if stream is None:
            stream = Synthesizer(spec, quality, namespace(piece))
        yield on_host(stream.push(piece))
    if stream is not None:
        yield on_host(stream.flush())
    if held:
        xp = namespace(held[0])
        yield on_host(synthesize(xp.concat(held, axis=2), spec, quality, length, xp=xp))


def _high(rows: Array, deciding: Array | None, spec: SpectrogramSpec, xp: Any) -> Array:
    if rows.shape[1] < 2:
        return xp.zeros(0, dtype=xp.float32)
    t = tables(spec, xp)
    spectrum, magnitude = StartSpectrum(t, correct=True)(rows, deciding, True)
    spectrum = refine(spectrum, magnitude, nepers(rows[0, ...], spec.floor_db, xp), t, _ITERATIONS)
    skip = t.overlap // 2
    hops = HopAdder(t)(spectrum, True)
    return xp.reshape(hops[skip : hops.shape[0] - skip, :], (-1,))


def _deciding(decisions_from: Array, rows: Array, spec: SpectrogramSpec, xp: Any) -> Array:
    """Levels [frames, n_mels] in dB of a spectrogram that has as many frames as `rows`."""
    other = _rows(decisions_from, spec, xp)
    if other.shape[1] != rows.shape[1]:
        raise InvalidValue(f"decisions_from has {other.shape[1]} frames and the spectrogram {rows.shape[1]}; "
                           "they must be the same")
    return other[0, ...]


def _rows(spectrogram: Array, spec: SpectrogramSpec, xp: Any) -> Array:
    """A spectrogram [2, n_mels, frames] as float32 [2, frames, n_mels], or an error that says what was wrong."""
    array = xp.asarray(spectrogram)
    if array.ndim != 3 or tuple(array.shape[:2]) != (2, spec.n_mels):
        raise InvalidValue(f"spectrogram has shape {tuple(array.shape)}; it must be (2, {spec.n_mels}, frames)")
    if not xp.isdtype(array.dtype, "real floating"):
        raise InvalidValue(f"spectrogram is of type {array.dtype}; it must be floating point")
    array = xp.astype(xp.permute_dims(array, (0, 2, 1)), xp.float32)
    if not bool(xp.all(xp.isfinite(array))):
        raise NumericError("spectrogram holds NaN or infinite numbers")
    return array
