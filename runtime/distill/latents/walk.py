"""Mode `walk`: the corpus's own latent trajectories, followed, joined where they are alike, and blurred by wander.

Measured against other ways to make latents (Gaussian and mixture samples, interpolation between anchors, a recurrent
prior), stored trajectories with a little smooth noise came closest to held-out recordings: they keep the timing of
attacks, which averages lose. What is new comes from the noise, from the jumps and from the order.

All state is per latent frame and all draws are made in that order, so `take(3)` then `take(5)` equals `take(8)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.prior import Prior

from .noise import SmoothNoise

Array = NDArray[np.float32]

_NEIGHBOURS = 6  # a jump goes to one of so many
_JOIN = 4  # latent frames of crossfade at a jump between neighbours


class Walk:
    """An endless latent sequence.

    prior: the corpus. rate_hz: latent frames per second. wander: size of the smooth noise, in units of the distance
    between near neighbours (`Prior.spread`); 0 follows the recordings exactly.
    """

    def __init__(self, prior: Prior, rate_hz: float, seed: int, wander: float, lane: int = 0) -> None:
        """lane: walks of one seed in different lanes take the same path with different noise (stereo)."""
        self._prior = prior
        path_seed, *noise_seeds = np.random.SeedSequence(seed).spawn(2 + lane)
        self._rng = np.random.default_rng(path_seed)
        self._noise = SmoothNoise(prior.spread * np.float32(wander), max(2, round(0.35 * rate_hz)), noise_seeds[lane])
        self._apart = max(1, round(0.5 * rate_hz))
        self._mean_stay = 3.0 * rate_hz  # latent frames between tries to jump
        self._limit = _typical_neighbour_distance(prior, self._apart)
        self._file = -1
        self._position = self._stop = 0
        self._left_until_jump = 0.0
        self._from: Array | None = None  # the old trajectory during a join
        self._start_file()

    def take(self, frames: int) -> Array:
        """The next `frames` latent frames, [latent_dim, frames]."""
        out = np.empty((self._prior.latents.shape[0], frames), np.float32)
        for t in range(frames):
            out[:, t] = self._step()
        return out + self._noise.take(frames)

    def _step(self) -> Array:
        if self._position >= self._stop:
            self._start_file()
        latent = self._prior.latents[:, self._position]
        if self._from is not None:
            done = _JOIN - self._from.shape[1] + 1
            share = np.float32(done / (_JOIN + 1))
            latent = (1 - share) * self._from[:, 0] + share * latent
            self._from = self._from[:, 1:] if self._from.shape[1] > 1 else None
        self._position += 1
        self._left_until_jump -= 1
        if self._left_until_jump <= 0:
            self._try_jump()
        return latent

    def _start_file(self) -> None:
        """A recording that ended is followed by the start of another: sounds begin as they did in the corpus."""
        files = len(self._prior.files)
        self._file = (self._file + int(self._rng.integers(1, files))) % files if files > 1 and self._file >= 0 \
            else int(self._rng.integers(files))
        self._position, self._stop = self._prior.span(self._file)
        self._from = None
        self._left_until_jump = self._rng.exponential(self._mean_stay)

    def _try_jump(self) -> None:
        """Go on from a near neighbour, if one is as near as neighbours usually are in this corpus."""
        self._left_until_jump = self._rng.exponential(self._mean_stay)
        choice = int(self._rng.integers(_NEIGHBOURS))
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
        self._from = self._prior.latents[:, self._position:self._position + _JOIN]
        self._file, self._position, self._stop = file, target, stop


def _typical_neighbour_distance(prior: Prior, apart: int) -> float:
    """Median distance to the nearest neighbour, over at most 48 frames spread through the corpus."""
    positions = np.linspace(0, prior.total - 1, min(48, prior.total)).astype(int)
    nearest = [d[0] for p in positions if len(d := prior.neighbours(int(p), 1, apart)[1])]
    return float(np.median(nearest)) if nearest else 0.0
