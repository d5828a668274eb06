"""Any models, mixed as sound: each its own phase, at equal power, at one rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .streams import aligned

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

Take = Callable[[int], Doubles]  # n -> the weights [models, n] of the next n steps


def mixed_sounds(streams: Sequence[Iterator[Array]], take: Take) -> Iterator[Array]:
    """Streams of [samples] or [channels, samples] at one rate -> their sum, each at the root of its weight.

    Different models' sounds are unrelated, so their powers add up, and weights that sum to one keep the power.
    """
    for pieces in aligned(streams):
        gains = np.sqrt(take(pieces[0].shape[-1])).astype(np.float32)
        mixed = pieces[0] * gains[0]
        for piece, gain in zip(pieces[1:], gains[1:], strict=True):
            mixed += piece * gain
        yield mixed
