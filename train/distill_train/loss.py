"""What training minimises: distance of the levels, counted twice where it is loud, + some distance of the frequencies
+ a little KL divergence.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

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
    below = level - level.amax(tuple(range(1, level.ndim)), keepdim=True)
    return (below * (level_std_db * math.log(10) / _GATE_DB)).exp()


def vae_loss(
    output: Tensor, target: Tensor, mean: Tensor, logvar: Tensor, *,
    level_std_db: float, loud_weight: float, frequency_weight: float, kl_weight: float,
) -> Loss:
    """Loss of a batch: spectrograms [B, 2, n_mels, frames] and posteriors [B, latent_dim, latent_frames].

    The frequency of a band with no energy is noise, so its error is weighted by the fourth root of the target's
    power, relative to the loudest band of the crop. The level counts in all bands alike, and once more with that
    weight: the few bands that hold the partials are what is heard, and are lost in the mean over all.
    """
    distance = (output[:, 0] - target[:, 0]).abs()
    level = distance.mean()
    with torch.no_grad():
        gate = loudness_gate(target[:, 0], level_std_db)
    loud_level = (gate * distance).sum() / gate.sum()
    frequency = (gate * (output[:, 1] - target[:, 1]).abs()).sum() / gate.sum()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    total = level + loud_weight * loud_level + frequency_weight * frequency + kl_weight * divergence
    return Loss(total, level.detach(), loud_level.detach(), frequency.detach(), divergence.detach())
