"""What training minimises: distance of the levels, counted twice where it is loud, + distance of the frequencies
+ a little KL divergence.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LOGVAR_RANGE = (-10.0, 4.0)  # of the posterior; beyond it exp() only makes trouble
_GATE_DB = 40.0  # a band 40 dB under the loudest one of its crop counts a tenth where loud bands count


class Loss(NamedTuple):
    """Scalars. `total` is the one with a gradient to follow; distances in normalised units, divergence in nats."""

    total: Tensor
    level: Tensor
    loud_level: Tensor
    frequency: Tensor
    divergence: Tensor


def sample_latents(mean: Tensor, logvar: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """mean + sigma * noise, and the clamped log variance. Shape: each [B, latent_dim, latent_frames]."""
    logvar = logvar.clamp(*LOGVAR_RANGE)
    return mean + noise * (0.5 * logvar).exp(), logvar


def loudness_gate(level: Tensor, level_std_db: float) -> Tensor:
    """The fourth root of the power over the loudest of each item; level: [B, ...], normalised."""
    return _fourth_root(level - level.amax(tuple(range(1, level.ndim)), keepdim=True), level_std_db)


def vae_loss(
    levels: Tensor, target: Tensor, mean: Tensor, logvar: Tensor, frequency: Tensor, *,
    level_std_db: float, loud_weight: float, kl_weight: float,
) -> Loss:
    """Loss of a batch: levels [B, frames, n_mels] and posteriors [B, latent_dim, latent_frames].

    levels: what the decoder made of latents. The level counts in all bands alike, and once more by the fourth root of
    the target's power, relative to the loudest band of the crop: the few bands that hold the partials are what is
    heard, and are lost in the mean over all. frequency: the `frequency_loss`, which has no part in the other gradients.
    """
    distance = (levels - target).abs()
    level = distance.mean()
    with torch.no_grad():
        gate = loudness_gate(target, level_std_db)
    loud_level = (gate * distance).sum() / gate.sum()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    total = level + loud_weight * loud_level + frequency + kl_weight * divergence
    return Loss(total, level.detach(), loud_level.detach(), frequency.detach(), divergence.detach())


def frequency_loss(read: Tensor, target: Tensor, level_std_db: float) -> Tensor:
    """Distance of frequencies [..., n_mels] from those of spectrogram frames [..., 2, n_mels]: a scalar.

    Only peaks count, bands louder than their neighbours: synthesis takes the phase of all others from them. What is
    learnt of skirts is learnt at the cost of peaks. A peak counts by the fourth root of its power, relative to the
    loudest band of its frame: in the tail of a stroke as much as in the stroke. Frames that are almost silent beside
    the loudest of all do not.
    """
    levels, frequencies = target.flatten(0, -3).unbind(1)
    loudest = levels.amax(1, keepdim=True)
    gate = _fourth_root(levels - loudest.clamp_min(loudest.amax() - _GATE_DB / level_std_db), level_std_db)
    rising = levels[:, 1:] > levels[:, :-1]
    peaks = functional.pad(gate[:, 1:-1] * (rising[:, :-1] & ~rising[:, 1:]), (1, 1))
    distance = (read.flatten(0, -2) - frequencies).abs()
    return (peaks * distance).sum() / peaks.sum().clamp_min(1e-6)


def _fourth_root(level: Tensor, level_std_db: float) -> Tensor:
    """Of the power that a normalised level stands for."""
    return (level * (level_std_db * math.log(10) / _GATE_DB)).exp()
