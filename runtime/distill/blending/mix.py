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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.arrays import namespace

Array = Any  # of float32, of any device
Doubles = NDArray[np.float64]

_NEPERS_PER_DB = math.log(10) / 10  # of power
_LOUDNESS_COUNTS = 0.25
_TINY = 1e-30


def morph(spectrograms: Sequence[Array], weights: Doubles) -> Array:
    """Spectrograms [2, n_mels, n] in dB and IF units, weights [models, n] that sum to 1 -> [2, n_mels, n].

    A frame in which one model has all the weight is that model's, bit for bit.
    """
    xp = namespace(spectrograms[0])
    share = xp.asarray(weights, dtype=xp.float32)
    alone = xp.asarray(weights == 1)
    loudness = xp.stack([frame_level(part[0, ...]) for part in spectrograms])  # [models, n]
    top = xp.max(loudness, axis=0)
    under = (loudness - top) * _NEPERS_PER_DB
    counts = share * xp.exp(_LOUDNESS_COUNTS * under)
    counts = counts / xp.clip(_sum(counts), _TINY, None)

    level = xp.zeros_like(spectrograms[0][0, ...])
    energy, bend = xp.zeros_like(level), xp.zeros_like(level)
    loudest = xp.max(xp.stack([part[0, ...] for part in spectrograms]), axis=0)
    for i, part in enumerate(spectrograms):
        level += counts[i, ...] * part[0, ...]
        power = share[i, ...] * xp.exp((part[0, ...] - loudest) * _NEPERS_PER_DB)
        energy += power
        bend += power * part[1, ...]
    mixture = xp.log(xp.clip(_sum(share * xp.exp(under)), _TINY, None))
    level += top + mixture / _NEPERS_PER_DB - frame_level(level)
    mixed = xp.stack([level, bend / xp.clip(energy, _TINY, None)])
    for i, part in enumerate(spectrograms):
        mixed = xp.where(alone[i, ...], part, mixed)
    return mixed


def frame_level(level: Array) -> Array:
    """Levels [n_mels, n] in dB -> the power of each frame, summed over its bands, in dB [n]."""
    xp = namespace(level)
    top = xp.max(level, axis=0)
    power = xp.sum(xp.exp((level - top) * _NEPERS_PER_DB), axis=0)
    return top + xp.log(power) / _NEPERS_PER_DB


def _sum(rows: Array) -> Array:
    """Over the models, one after the other, whatever n is."""
    total = rows[0, ...]
    for i in range(1, rows.shape[0]):
        total = total + rows[i, ...]
    return total
