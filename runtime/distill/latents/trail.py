"""A way through the corpus: recordings followed as they are, joined where they are alike.

What is heard is to be the corpus, not a biased sample of it. So each recording comes up once before one comes up
again (drawn independently, two minutes of seven loops were up to 2 dB too loud or too soft), and a way does not always
begin with an attack (takes of ten seconds out of piano notes that last fifteen were 3.6 dB too loud).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from distill.prior import Prior
from distill.rng import GOLDEN, Rng, Seed

Array = NDArray[np.float32]

_NEIGHBOURS = 6  # a jump goes to one of so many
_JOIN = 4  # latent frames of crossfade at a jump between neighbours
TAKE_SECONDS = 10.0  # what is asked for most
_LOUDER_DB = 0.5  # than its recording a take may be for beginning where that does
_BEFORE_SECONDS = 0.25  # of a recording before a moment that are gone back to, so that its attack is not just missed


class Trail:
    """Endless corpus latents; `take(3)` then `take(5)` equals `take(8)`.

    A recording that ends is followed by the start of another: sounds begin as they did in the corpus. `jumps` times
    a second on average the way goes on from a near neighbour of where it is, if there is one as near as neighbours
    usually are in this corpus.

    Recordings come in rounds, each of them once a round, and from round to round none moves by more than half a round;
    one that a jump went to may come up once more. In rounds of any order the one that a way begins with, a long one
    more often than a short one, would be away for a round and a half on average: of one long sound and four short ones,
    ten seconds had 1.2 times the corpus's attacks.
    """

    def __init__(self, prior: Prior, rate_hz: float, seed: Seed, jumps: float,
                 start: int) -> None:
        """start: the latent frame to begin with."""
        self._prior = prior
        self._rng = Rng(seed)
        self._apart = max(1, round(0.5 * rate_hz))
        self._mean_stay = rate_hz / jumps if jumps > 0 else np.inf  # latent frames between tries to jump
        self._limit = prior.usual_distance(self._apart) if jumps > 0 else 0.0
        self._from: Array | None = None  # the old recording's latents during a join
        self._position, self._file = start, prior.file_of(start)
        order = self._rng.permutation(len(prior.files))
        order.remove(self._file)
        self._order = [self._file, *order]  # of this round
        self._waiting = self._order[:0:-1]  # those that have not come up in it, the next one last
        self._stop = prior.span(self._file)[1]
        self._left_until_jump = self._stay()

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""
        out = np.empty((len(self._prior.stored), frames), np.float32)
        done = 0
        while done < frames:
            if self._position >= self._stop:
                self._next_file()
            count = frames - done  # as far as it goes straight on
            if count > 1:
                count = min(count, self._stop - self._position, max(1, math.ceil(min(self._left_until_jump, frames))))
            part = out[:, done:done + count]
            part[:] = self._prior.stored[:, self._position:self._position + count]
            if self._from is not None:
                self._from = _joined(self._from, part)
            done += count
            self._position += count
            self._left_until_jump -= count
            if self._left_until_jump <= 0:
                self._try_jump()
        return out

    def _next_file(self) -> None:
        if self._waiting in ([], [self._file]):  # or only the one that a jump went to is left of the round
            self._waiting = self._next_round()
        if self._waiting[-1] == self._file:  # not the same one twice in a row, where there is another
            self._waiting.insert(0, self._waiting.pop())
        self._file = self._waiting.pop()
        self._position, self._stop = self._prior.span(self._file)
        self._from = None
        self._left_until_jump = self._stay()

    def _next_round(self) -> list[int]:
        reach = len(self._order) / 2
        keys = {file: place + self._rng.uniform(0, reach) for place, file in enumerate(self._order)}
        self._order.sort(key=keys.__getitem__)
        return self._order[::-1]

    def _try_jump(self) -> None:
        self._left_until_jump = self._stay()
        choice = self._rng.below(_NEIGHBOURS)
        if self._stop - self._position <= 2 * _JOIN:
            return
        nearest, distance = self._prior.neighbours(self._position, _NEIGHBOURS, self._apart)
        nearest = nearest[distance <= self._limit]
        if len(nearest) == 0:
            return
        target = int(nearest[choice % len(nearest)])
        file = self._prior.file_of(target)
        stop = self._prior.span(file)[1]
        if stop - target <= 2 * _JOIN:
            return
        self._from = self._prior.at(slice(self._position, self._position + _JOIN))
        self._file, self._position, self._stop = file, target, stop

    def _stay(self) -> float:
        return self._rng.exponential(self._mean_stay) if self._mean_stay < np.inf else np.inf


def _joined(old: Array, new: Array) -> Array | None:
    """Fade from what is left of the old recording, [latent_dim, any], into `new`; returns what is left then, if any."""
    left, count = old.shape[1], min(old.shape[1], new.shape[1])
    first = _JOIN + 1 - left
    share = (np.arange(first, first + count) / (_JOIN + 1)).astype(np.float32)
    new[:, :count] = (1 - share) * old[:, :count] + share * new[:, :count]
    return old[:, count:] if count < left else None


def beginning(prior: Prior, rate_hz: float, seed: int) -> int:
    """The latent frame that a walk begins with: a moment of the corpus, or the start of the recording it lies in.

    Where takes of TAKE_SECONDS would be louder than the corpus for always beginning with an attack, or would never get
    to the end of a recording, they begin in its midst. The moments of seeds 0, 1, 2, ... are the multiples of the
    golden ratio, modulo one (Weyl 1916): they lie evenly over the corpus, so that takes of seeds that follow each
    other differ, and a few of them make up the corpus.
    """
    moment = (seed * GOLDEN % (1 << 64)) * prior.total >> 64
    start, stop = prior.span(prior.file_of(moment))
    if moment - start <= _BEFORE_SECONDS * rate_hz:
        return start
    take = round(TAKE_SECONDS * rate_hz)
    if stop - start > take:
        return moment
    power = 10.0 ** (prior.level[start:stop].astype(np.float64) / 10)
    louder = np.resize(power, take).mean() / power.mean()  # by repetition, as other recordings follow
    return start if louder <= 10 ** (_LOUDER_DB / 10) else moment
