"""Clicks where chunks meet: the energy of what is sharp there, beside that of other places.

The second difference of the samples hardly sees tones, and sees every step or kink. Its energy within 5 ms of a place
is set in relation to that of the 40 ms around it, so that loud and soft passages count alike; the figure is the mean of
that relation, in dB, over the places where chunks meet, minus the mean over places inside chunks: where latent frames
meet too, for synthesis is a little sharper at the centres of its frames than between them. Attacks lie at both by
chance, so the figure has an error, which is given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .ear import Floats

_NEAR_SECONDS, _AROUND_SECONDS = 0.005, 0.04  # to either side together
_APART = 4  # latent frames from one place inside a chunk to the next, and to the seams


class Seams(NamedTuple):
    """Energy at seams over that inside chunks, dB, and the standard error of that."""

    excess_db: float
    error_db: float


def seam_energy(sounds: Sequence[Floats], chunk: int, latent: int, sample_rate: int) -> Seams:
    """sounds: [samples] each, made in chunks of `chunk` latent frames of `latent` samples, from sample 0 on."""
    at, inside = (np.concatenate([_sharpness(sound, start * latent, chunk * latent, sample_rate)
                                  for sound in sounds for start in starts])
                  for starts in ([chunk], range(chunk + _APART, 2 * chunk - _APART + 1, _APART)))
    error = np.sqrt(at.var() / max(1, len(at)) + inside.var() / max(1, len(inside)))
    return Seams(float(at.mean() - inside.mean()), float(error))


def _sharpness(sound: Floats, start: int, step: int, sample_rate: int) -> NDArray[np.float64]:
    """At the places start, start + step, ... that have room around them: energy near over energy around, dB."""
    near, around = (round(seconds * sample_rate / 2) for seconds in (_NEAR_SECONDS, _AROUND_SECONDS))
    places = np.arange(start, len(sound) - around - 2, step)
    total = np.concatenate([[0.0], np.cumsum(np.square(np.diff(sound.astype(np.float64), 2)))])
    close = (total[places + near] - total[places - near]) / near
    wide = (total[places + around] - total[places - around]) / around
    heard = wide > 1e-18
    result: NDArray[np.float64] = 10 * np.log10(np.maximum(close[heard] / wide[heard], 1e-6))
    return result
