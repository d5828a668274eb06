"""The morph: several spectrograms as one.

Levels are averaged in dB, so a band at -60 dB in one model and -20 in another passes -40: the spectrum's *shape* moves
from one to the other, where a crossfade would only ever show the louder one. Frequencies are averaged with each
model's energy as a further weight: a band takes its pitch from who sounds in it. There is one spectrogram, therefore
one phase, and nothing beats or combs.

Two things would go wrong with that alone. Models do not sound all the time, and a sound averaged with silence is
neither: its valleys rise, its partials sink. So in each frame a model counts by its loudness too, though little:

    share_i ~ weight_i * (P_i / max P)^(1/4)            P_i: the frame's power, summed over its bands

And two different shapes average to a flatter and softer one. So each frame is brought to the power that a mixture of
the sounds would have, sum weight_i P_i. Measured on three models (a vibraphone, a tabla, loops), half and half: 3 dB
under the models themselves instead of 6, and up to 8 dB more between partials and valleys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

_NEPERS_PER_DB = np.float32(math.log(10) / 10)  # of power
_LOUDNESS_COUNTS = np.float32(0.25)
_TINY = np.float32(1e-30)


def morph(spectrograms: Sequence[Array], weights: Doubles) -> Array:
    """Spectrograms [2, n_mels, n] in dB and IF units, weights [models, n] that sum to 1 -> [2, n_mels, n].

    A frame in which one model has all the weight is that model's, bit for bit.
    """
    share = weights.astype(np.float32)
    loudness = np.stack([frame_level(part[0]) for part in spectrograms])  # [models, n]
    top = loudness.max(axis=0)
    under = (loudness - top) * _NEPERS_PER_DB
    counts = share * np.exp(_LOUDNESS_COUNTS * under)
    counts /= np.maximum(_sum(counts), _TINY)

    level = np.zeros_like(spectrograms[0][0])
    energy, bend = np.zeros_like(level), np.zeros_like(level)
    loudest = np.max([part[0] for part in spectrograms], axis=0)
    for part, by_weight, by_loudness in zip(spectrograms, share, counts, strict=True):
        level += by_loudness * part[0]
        power = by_weight * np.exp((part[0] - loudest) * _NEPERS_PER_DB)
        energy += power
        bend += power * part[1]
    level += top + np.log(np.maximum(_sum(share * np.exp(under)), _TINY)) / _NEPERS_PER_DB - frame_level(level)
    mixed = np.stack([level, bend / np.maximum(energy, _TINY)])
    for part, weight in zip(spectrograms, weights, strict=True):
        mixed[:, :, weight == 1] = part[:, :, weight == 1]
    return mixed


def frame_level(level: Array) -> Array:
    """Levels [n_mels, n] in dB -> the power of each frame, summed over its bands, in dB [n]."""
    top = level.max(axis=0)
    power = np.exp((level - top) * _NEPERS_PER_DB).sum(axis=0)
    result: Array = top + np.log(power) / _NEPERS_PER_DB
    return result


def _sum(rows: Array) -> Array:
    """Over the models, one after the other, whatever n is."""
    total: Array = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total
