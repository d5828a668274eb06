"""Which recordings are held out. Decided per recording, before any copies are made, so that nothing leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

SHARE = 0.1
MIN_FILES = 5  # below this, every recording is needed for training


def held_out(hashes: Sequence[str], seed: int) -> frozenset[str]:
    """The content hashes to hold out: a tenth of them, at least one from MIN_FILES on.

    Depends on the contents and the seed only; neither renaming nor reordering files changes it.
    """
    if len(hashes) < MIN_FILES:
        return frozenset()
    ranked = sorted(hashes, key=lambda content: hashlib.sha256(f"{seed} {content}".encode()).hexdigest())
    return frozenset(ranked[: max(1, round(SHARE * len(hashes)))])
