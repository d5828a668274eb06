"""Several streams, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from distill.foreseen import Foreseen

Array = NDArray[np.float32]


def aligned(streams: Sequence[Iterator[Array]]) -> Iterator[list[Array]]:
    """Pieces [..., any] of each stream, cut so that those given out together are equally long.

    Ends where the shortest stream does. What all streams foresee is foreseen.
    """
    pieces = _aligned(streams)
    if not all(isinstance(stream, Foreseen) for stream in streams):
        return pieces

    def ahead(frames: int) -> list[Array]:
        # what is left of pieces that were longer than the others is not in it, and the guess then wrong
        parts = [stream.ahead(frames) for stream in streams if isinstance(stream, Foreseen)]
        count = min(part.shape[-1] for part in parts)
        return [part[..., :count] for part in parts]

    return Foreseen((each, ahead) for each in pieces)


def _aligned(streams: Sequence[Iterator[Array]]) -> Iterator[list[Array]]:
    waiting = [next(stream, None) for stream in streams]
    while True:
        for i, stream in enumerate(streams):
            while (piece := waiting[i]) is not None and piece.shape[-1] == 0:
                waiting[i] = next(stream, None)
        pieces = [piece for piece in waiting if piece is not None]
        if len(pieces) < len(streams):
            return
        count = min(piece.shape[-1] for piece in pieces)
        yield [piece[..., :count] for piece in pieces]
        waiting = [piece[..., count:] for piece in pieces]
