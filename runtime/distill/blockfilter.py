"""Linear filtering of a stream in blocks, by FFT; the filter may move from block to block without a click.

A filter that stands still: the input is cut into frames of `hop` samples, each is filtered, the results are added.
One that moves: frames are 2 * hop long, under a Hann window, and begin every hop. Neighbouring windows add up to one,
so the sum is a cross-fade from each frame's filter to the next one's.

Frames lie on a fixed grid, so pieces of any size give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValue

Array = NDArray[np.float32]
Response = NDArray[np.complex64]


class BlockFilter:
    """[inputs, samples] in, [outputs, samples] out, not shifted; `flush` gives what waited for the next frame.

    hop: samples. size: of the transform; a frame and what the response adds to it must fit. response: transfer
    functions [outputs, inputs, size / 2 + 1], or a function from a frame's number to them (it moves). ahead: samples
    by which the response was delayed to make it causal; they are taken off again.
    """

    def __init__(self, hop: int, size: int, response: Response | Callable[[int], Response], ahead: int = 0) -> None:
        moves = callable(response)
        self._length = 2 * hop if moves else hop
        if size < self._length + ahead:
            raise InvalidValue(f"size is {size}; it must be at least {self._length + ahead}")
        self._hop, self._size, self._response = hop, size, response
        self._window = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32) if moves else None
        self._early = (hop if moves else 0) + ahead  # output before the first sample
        self._outputs = self._at(0).shape[0]
        self._reset()

    def _reset(self) -> None:
        self._held: Array | None = None  # input from the next frame's first sample on
        self._sum = np.zeros((self._outputs, self._size), np.float32)  # what the frames so far give from there on
        self._frame = self._taken = self._given = 0
        self._skip = self._early

    def push(self, audio: Array) -> Array:
        """The next samples [inputs, any] -> [outputs, those that are done]."""
        if self._held is None:
            self._held = np.zeros((audio.shape[0], self._length - self._hop), np.float32)
        self._held = np.concatenate([self._held, audio], axis=1)
        self._taken += audio.shape[1]
        done = [np.empty((self._outputs, 0), np.float32)]
        while self._held.shape[1] >= self._length:
            done.append(self._next(self._held[:, :self._length]))
            self._given += done[-1].shape[1]
            self._held = self._held[:, self._hop:]
        return np.concatenate(done, axis=1)

    def flush(self) -> Array:
        """The rest, so that as many samples have come out as went in; the next push begins another sound."""
        done = [np.empty((self._outputs, 0), np.float32)]
        while self._held is not None and self._given < self._taken:
            self._held = np.pad(self._held, ((0, 0), (0, max(0, self._length - self._held.shape[1]))))
            done.append(self._next(self._held[:, :self._length])[:, :self._taken - self._given])
            self._given += done[-1].shape[1]
            self._held = self._held[:, self._hop:]
        self._reset()
        return np.concatenate(done, axis=1)

    def _next(self, part: Array) -> Array:
        """Filter one frame, add it, and give the `hop` samples that no later frame reaches."""
        if self._window is not None:
            part = part * self._window
        response = self._at(self._frame)
        spectra = np.fft.rfft(part, self._size, axis=1)
        mixed = response[:, 0] * spectra[0]
        for i in range(1, len(spectra)):
            mixed += response[:, i] * spectra[i]
        self._sum += np.fft.irfft(mixed, self._size, axis=1)
        skipped = min(self._skip, self._hop)
        done = self._sum[:, skipped:self._hop].copy()
        self._sum[:, :-self._hop] = self._sum[:, self._hop:]
        self._sum[:, -self._hop:] = 0
        self._skip -= skipped
        self._frame += 1
        return done

    def _at(self, frame: int) -> Response:
        return self._response(frame) if callable(self._response) else self._response
