"""Start from a linear model that already sounds: the principal components of the corpus's patches.

The first `latent_dim` components become the latents, the first `width` the features between the blocks; the blocks
add nothing yet. What is left for training is what a linear model cannot do, and a few seconds of sound are enough
for the start.

Let X be the patches with channel 1 scaled by `frequency_weight` (it matters less), X - m = P V^T with V the
eigenvectors of the covariance and s the standard deviations of the columns of P. The features are P / (s + e) with
e = 3 % of the largest s: *soft* whitening, so that faint components stay faint and their noise is not blown up.
The posterior mean takes that back to P / s for the latents, whose variance is then one, as the prior wants.

That is good to learn with and bad to play with: a latent of which little is heard is as large as the first. So the
model that leaves training has them scaled by what the decoder makes of them (`latent_scale`, `rescale`). Distance
between latents is then about distance between sounds, and their principal axes are those of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .network import Decoder, Encoder

SOFTNESS = 0.03  # e / largest s
FAINTEST = 3e-3  # components under this share of the largest are treated as if they had it
INITIAL_LOGVAR = -3.0  # of the posterior: sigma .22, so the decoder hears some noise from the first step
MAX_PATCHES = 12_288  # enough for a covariance; more only costs seconds


def patch_starts(
    frames: Sequence[int], frames_per_latent: int, limit: int = MAX_PATCHES
) -> list[NDArray[np.int64]]:
    """For recordings of `frames` frames each: which patches to look at, as first frames, evenly spread."""
    possible = sum(max(0, count - frames_per_latent + 1) for count in frames)
    stride = max(1, -(-possible // limit))
    return [np.arange(0, max(0, count - frames_per_latent + 1), stride) for count in frames]


@torch.no_grad()
def start_from_pca(encoder: Encoder, decoder: Decoder, patches: Tensor, frequency_weight: float) -> float:
    """Set the weights of both networks; return the share of the (weighted) variance that the latents explain.

    patches: [patches, frames_per_latent * 2 * n_mels] in normalised units, laid out as the networks do.
    """
    config = encoder.config
    dim, width = config.latent_dim, config.width
    channel = torch.tensor([1.0, frequency_weight]).repeat_interleave(config.n_mels)
    weight = channel.repeat(config.frames_per_latent)  # [patch]

    weighted = patches.float() * weight
    mean = weighted.mean(0)
    weighted -= mean
    covariance = weighted.T @ weighted / len(weighted)
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    kept = min(width, config.patch_size)
    variance = eigenvalues.flip(0)[:kept].clamp_min(0)
    basis = eigenvectors.flip(1)[:, :kept]  # [patch, kept]
    basis = basis * torch.where(basis.sum(0) < 0, -1.0, 1.0)  # a component's sign is arbitrary: fix it
    spread = variance.sqrt()
    spread = spread.clamp_min(FAINTEST * float(spread[0]) + 1e-6)
    soft = spread + SOFTNESS * spread[0]

    encoder.patch.weight.zero_()
    encoder.patch.weight[:kept] = (basis / soft).T * weight
    encoder.patch.bias.zero_()
    encoder.patch.bias[:kept] = -(mean @ (basis / soft))
    latent = torch.arange(dim)
    encoder.posterior.weight.mul_(0.05)
    encoder.posterior.weight[:dim].zero_()
    encoder.posterior.weight[latent, latent] = (soft / spread)[:dim]
    encoder.posterior.bias.zero_()
    encoder.posterior.bias[dim:] = INITIAL_LOGVAR

    decoder.expand.weight.zero_()
    decoder.expand.weight[latent, latent] = 1.0
    decoder.expand.bias.zero_()
    decoder.patch.weight.mul_(0.1)
    decoder.patch.weight[:, :kept] = basis * spread / weight[:, None]
    decoder.patch.bias.copy_(mean / weight)
    encoder.blocks.silence()
    decoder.blocks.silence()
    return float(variance[:dim].sum() / covariance.diagonal().sum().clamp_min(1e-12))


@torch.no_grad()
def latent_scale(decoder: Decoder, frequency_weight: float) -> tuple[float, ...]:
    """[latent_dim] what a step of each latent makes of the (weighted) patch past the blocks, over their RMS."""
    config = decoder.config
    channel = torch.tensor([1.0, frequency_weight]).repeat_interleave(config.n_mels).repeat(config.frames_per_latent)
    made = channel[:, None] * (decoder.patch.weight.double() @ decoder.expand.weight.double())
    size = made.square().sum(0).sqrt().clamp_min(1e-12)
    return tuple((size / size.square().mean().sqrt()).clamp_min(FAINTEST).tolist())


@torch.no_grad()
def rescale(encoder: Encoder, decoder: Decoder, scale: Sequence[float]) -> None:
    """Make the encoder's mean `scale` times as large and the decoder expect that: the same model in other units."""
    factor = torch.tensor(scale, dtype=torch.float32)
    encoder.posterior.weight[: len(factor)] *= factor[:, None]
    encoder.posterior.bias[: len(factor)] *= factor
    decoder.expand.weight /= factor
