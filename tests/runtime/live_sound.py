"""A live sound, taken block by block while lines are sent: for the tests of what is heard and of what is obeyed."""

from __future__ import annotations

import numpy as np

from distill.live import Live


def played(live: Live, blocks: int, at: dict[int, str], block: int = 512) -> np.ndarray:
    """So many blocks; `at`: lines that are sent after so many of them were taken."""
    stream, taken = live.stream(block=block), []
    for index in range(blocks):
        for line in filter(None, at.get(index, "").split("\n")):
            live.send(line)
        taken.append(next(stream))
    return np.concatenate(taken, axis=-1)
