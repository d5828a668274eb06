"""Several streams, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def aligned(streams: Sequence[Iterator[Array]]) -> Iterator[list[Array]]:
    """Pieces [..., any] of each stream, cut so that those given out together are equally long.

    Ends where the shortest stream does.
    """
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
