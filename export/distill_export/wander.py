"""How far a full wander goes.

Its unit is the distance between near neighbours of the corpus. In a small corpus of short sounds these lie so far
apart that noise of that size makes the sound a good deal louder (power is convex in dB: what is added to a level at
times weighs more than what is taken away at others), and then it is no longer the same corpus. So the unit is made
smaller until wander raises the power of the corpus by no more than LOUDER_DB: so much at its default, where sound is
to be as loud as the corpus, and so much in full. (The one does not follow from the other: no frame gets louder than the
corpus's loudest, so where few are loud, a little noise may do nearly as much as much of it.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.decoder import ChunkDecoder
from distill.knobs import USES
from distill.latents.noise import SmoothNoise, period_of
from distill.latents.walk import WANDER_SECONDS
from distill.prior import Prior

Array = NDArray[np.float32]

LOUDER_DB = {USES["wander"].default or 0.0: 0.3, 1.0: 2.5}  # by wander
_SECONDS = 96.0  # of the corpus that are listened to, with and without noise
_PIECES = 12  # that they come in
_STEPS = 5  # of bisection: the unit to within 3 %


def gentle(spread: Array, prior: Prior, rate_hz: float, decoder: ChunkDecoder) -> Array:
    """`spread` [latent_dim, any], or less of it."""
    length = max(1, min(prior.total // _PIECES, round(_SECONDS / _PIECES * rate_hz)))
    starts = np.linspace(0, prior.total - length, _PIECES).astype(int)
    latents = np.concatenate([prior.latents[:, start:start + length] for start in starts], axis=1)
    noise = SmoothNoise(spread, period_of(WANDER_SECONDS, rate_hz), (0,)).take(latents.shape[1])
    # Noise and its opposite: what one of them happens to add to the few moments that are loud, the other takes away.
    latents, noise = np.tile(latents, 2), np.concatenate([noise, -noise], axis=1)
    limit = 10 ** (float(prior.level.max()) / 10)  # the runtime lets no frame be louder than the corpus's loudest

    def power(size: float) -> float:
        level = decoder.denormalise(decoder.normalised(latents + np.float32(size) * noise))[0].astype(np.float64)
        return float(np.minimum((10.0 ** (level / 10)).sum(axis=0), limit).sum())

    still = power(0.0)

    def allowed(unit: float) -> bool:
        return all(power(unit * wander) <= still * 10 ** (louder / 10) for wander, louder in LOUDER_DB.items())

    if allowed(1.0):
        return spread
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return spread * np.float32(low if low > 0 else high)
