"""A stream of sound at another sample rate, by soxr; of exactly the length that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def resampled(pieces: Iterable[Array], source: int, target: int, total: int | None = None) -> Iterator[Array]:
    """Pieces [samples] or [channels, samples] at `source` Hz -> pieces of the same sound at `target` Hz.

    total: samples of the result a channel; None is what soxr makes of it, length * target / source give or take one.
    Nothing is shifted, and the pieces' sizes change nothing.
    """
    done, last = 0, np.empty(0, np.float32)
    for piece in _converted(pieces, source, target):
        if total is not None:
            piece = piece[..., :total - done]
        done += piece.shape[-1]
        last = piece
        yield piece
    if total is not None and done < total:
        yield np.zeros((*last.shape[:-1], total - done), np.float32)


def _converted(pieces: Iterable[Array], source: int, target: int) -> Iterator[Array]:
    if source == target:
        yield from pieces
        return
    import soxr

    stream, shape = None, ()
    for piece in pieces:
        if stream is None:
            shape = piece.shape[:-1]
            stream = soxr.ResampleStream(source, target, int(np.prod(shape)), dtype="float32", quality="VHQ")
        yield stream.resample_chunk(np.ascontiguousarray(piece.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.empty((0, *shape), np.float32), last=True).T
