"""Where sounds begin in a corpus, read off the level of its latent frames."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from distill.prior import Prior

Array = NDArray[np.float32]

LEAD = 1  # latent frames before an onset in which its level rises already
RISE_DB = 6.0  # of the level within two latent frames: what counts as the beginning of a sound
STIR_DB = 4.0  # a smaller rise, which nobody would ask for but which is heard where nothing should begin
_RANGE_DB = 40.0  # under the corpus's loudest frame: softer beginnings are not heard as such
_APART_SECONDS = 0.06  # of two rises so near, the larger is the onset
_NOTHING_DB = 60.0  # under a recording's loudest frame: where a sound comes from that was cut off at its very start


class Onsets(Struct, frozen=True, eq=False):
    """positions: int64 [onsets], latent frames in which a sound begins; room: int64 [onsets], latent frames from each
    until the level stirs again, or the recording ends."""

    positions: NDArray[np.int64]
    room: NDArray[np.int64]

    @classmethod
    def of(cls, prior: Prior, rate_hz: float) -> Onsets:
        """Those of a corpus whose latents come at `rate_hz`, found once."""
        return prior.once((cls, rate_hz), lambda: cls._found(prior, rate_hz))

    @classmethod
    def _found(cls, prior: Prior, rate_hz: float) -> Onsets:
        apart = max(1, round(_APART_SECONDS * rate_hz))
        audible = float(prior.level.max()) - _RANGE_DB
        positions, room = [], []
        for file in range(len(prior.files)):
            start, stop = prior.span(file)
            level = prior.level[start:stop]
            found = find_onsets(level, apart, audible)
            stirs = np.append(find_onsets(level, apart, audible, STIR_DB), stop - start + LEAD)
            positions.append(start + found)
            room.append(np.maximum(stirs[np.searchsorted(stirs, found, side="right")] - LEAD - found, 1))
        return cls(np.concatenate(positions).astype(np.int64), np.concatenate(room).astype(np.int64))


def find_onsets(level: Array, apart: int, audible: float, rise_db: float = RISE_DB) -> NDArray[np.int64]:
    """Frames of one recording in which its level [frames], dB, has risen by `rise_db` within two frames.

    The rise at t is from the softer of the two frames before to frame t or t + 1; a recording that begins loud
    and dies away is taken to begin from nothing, one that begins loud and goes on so was cut out of a longer sound.
    Of rises less than `apart` frames from each other only the largest counts, and only if the sound then is at
    `audible` dB or above.
    """
    frames = len(level)
    before = level[0]
    if level[:3].max() >= np.median(level) + RISE_DB:
        before = min(before, level.max() - np.float32(_NOTHING_DB))
    padded = np.concatenate([[before, before], level, level[-1:]]).astype(np.float64)
    top = np.maximum(padded[2:2 + frames], padded[3:3 + frames])
    rise = top - np.minimum(padded[:frames], padded[1:1 + frames])
    step = padded[2:2 + frames] - padded[1:1 + frames]
    found: list[int] = []
    for at in np.flatnonzero((rise >= rise_db) & (top >= audible) & (step > 0)):
        if found and at - found[-1] <= apart:
            if step[at] > step[found[-1]]:
                found[-1] = int(at)
        else:
            found.append(int(at))
    return np.array(found, np.int64)
