"""Start from a linear model that already sounds: the principal components of the corpus's patches.

A patch of levels is taken apart by cosines over its frames; each part [n_mels] has principal components of its own. By
parts a component is 2 or 4 times as cheap as one of whole patches, and there is less to learn: of notes that were held
out, as many components of parts leave less out (docs/training.md). The latents are the components that vary most, of
whatever part; the direct layers of the networks hold them and the blocks add nothing yet. What is left for training is
what a linear model cannot do, and a few seconds of sound are enough for the start.

Let P be the components' coordinates and s their standard deviations. A posterior mean is P / s, whose variance is one,
as the prior wants. Its sigma makes the noise of each latent heard about alike, at NOISE of the faintest, within
FIRST_LOGVAR_RANGE: a fixed share of each would be 4 dB of noise on drums, through which no training sees the faint
ones. The features of the blocks are those of the loudest, P / (s + e) with e = 3 % of the largest s: *soft* whitening,
so that faint components stay faint.

That is good to learn with and bad to play with: a latent of which little is heard is as large as the first. So the
model that leaves training has them scaled by what the decoder makes of them (`latent_scale`, `rescale`). Distance
between latents is then about distance between sounds, and their principal axes are those of the sound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import NetworkConfig
from .network import Decoder, Encoder, cosines

SOFTNESS = 0.03  # e / largest s
FAINTEST = 3e-3  # components under this share of the largest are treated as if they had it
RESIDUAL_DB = 0.15  # RMS of the levels that latents may leave out, if there are enough of them
NOISE = 0.3  # of a latent as heard / the standard deviation of the faintest
FIRST_LOGVAR_RANGE = (-9.8, -3.0)  # of the posterior at the start: sigma .0075 to .22
MAX_PATCHES = 12_288  # enough for a covariance; more only costs seconds


def patch_starts(
    frames: Sequence[int], frames_per_latent: int, limit: int = MAX_PATCHES
) -> list[NDArray[np.int64]]:
    """For recordings of `frames` frames each: which patches to look at, as first frames, evenly spread."""
    possible = sum(max(0, count - frames_per_latent + 1) for count in frames)
    stride = max(1, -(-possible // limit))
    return [np.arange(0, max(0, count - frames_per_latent + 1), stride) for count in frames]


@dataclass(frozen=True)
class Components:
    """The principal components of each part of a patch, the loudest first.

    mean: [parts, n_mels]; basis: [parts, n_mels, n_mels], a column each; spread: [parts, n_mels], their standard
    deviations, normalised.
    """

    mean: Tensor
    basis: Tensor
    spread: Tensor

    def fit(self, network: NetworkConfig, residual: float, most: int | None = None) -> NetworkConfig:
        """The network with as many latents as leave `residual` (RMS, normalised) of the levels out.

        They are the ones with the largest spread, and at least one of each part; at most `most`, and as it has now.
        """
        variance = self.spread.double().square()
        order = variance.clone()
        order[:, 0] = torch.inf
        most = max(len(variance), min(network.latent_dim, most or network.latent_dim))
        chosen = order.flatten().argsort(descending=True, stable=True)[:most]
        explained = variance.flatten()[chosen].cumsum(0)
        needed = int((variance.sum() - explained > variance.numel() * residual**2).sum()) + 1
        chosen = chosen[: max(needed, len(variance))]
        counts = torch.bincount(chosen // variance.shape[1], minlength=len(variance))
        return replace(network, parts=tuple(counts.tolist()))

    def left_out(self, network: NetworkConfig) -> float:
        """RMS of the levels that the latents leave out, normalised."""
        rest = [spread[latents:].square().sum() for spread, latents in zip(self.spread, network.parts, strict=True)]
        return math.sqrt(float(sum(rest)) / self.spread.numel())


@torch.no_grad()
def principal_components(patches: Tensor) -> Components:
    """patches: levels [patches, frames_per_latent, n_mels], normalised."""
    parts = (cosines(patches.shape[1]) @ patches.float()).transpose(0, 1)  # [parts, patches, n_mels]
    mean = parts.mean(1)
    parts = parts - mean[:, None]
    variance, basis = torch.linalg.eigh(parts.transpose(1, 2) @ parts / parts.shape[1])
    basis = basis.flip(2)
    basis = basis * torch.where(basis.sum(1) < 0, -1.0, 1.0)[:, None]  # a component's sign is arbitrary: fix it
    return Components(mean, basis, variance.flip(1).clamp_min(0).sqrt())


@torch.no_grad()
def start_from_pca(encoder: Encoder, decoder: Decoder, components: Components) -> None:
    """Set the weights of both networks, whose parts are those of `Components.fit`."""
    config = encoder.config
    mean, basis, all_spread = components.mean, components.basis, components.spread
    faintest = FAINTEST * float(all_spread.max()) + 1e-6
    spreads = []
    for part, (analysis, synthesis) in enumerate(zip(encoder.direct, decoder.direct, strict=True)):
        latents = config.parts[part]
        kept, spread = basis[part, :, :latents], all_spread[part, :latents].clamp_min(faintest)
        analysis.weight.copy_((kept / spread).T)
        analysis.bias.copy_(-(mean[part] @ kept) / spread)
        synthesis.weight.copy_(kept * spread)
        synthesis.bias.copy_(mean[part])
        spreads.append(spread)
    spread = torch.cat(spreads)
    loudest = spread.argsort(descending=True, stable=True)[: config.width]
    features = torch.arange(len(loudest))
    soft = (spread / (spread + SOFTNESS * spread.max()))[loudest]
    whole = torch.block_diag(*(layer.weight for layer in encoder.direct))  # type: ignore[no-untyped-call]
    encoder.patch.weight.zero_()
    encoder.patch.weight[features] = whole[loudest] * soft[:, None]
    encoder.patch.bias.zero_()
    encoder.patch.bias[features] = torch.cat([layer.bias for layer in encoder.direct])[loudest] * soft
    encoder.posterior.bias.zero_()
    encoder.posterior.bias[config.latent_dim :] = (2 * (NOISE * spread.min() / spread).log()).clamp(*FIRST_LOGVAR_RANGE)
    decoder.expand.weight.zero_()
    decoder.expand.weight[features, loudest] = soft
    decoder.expand.bias.zero_()
    decoder.patch.bias.zero_()
    encoder.blocks.silence()
    decoder.blocks.silence()

@torch.no_grad()
def latent_scale(decoder: Decoder) -> tuple[float, ...]:
    """[latent_dim] what a step of each latent makes of the levels past the blocks, over their RMS."""
    size = torch.cat([layer.weight.double().square().sum(0).sqrt() for layer in decoder.direct]).clamp_min(1e-12)
    return tuple((size / size.square().mean().sqrt()).clamp_min(FAINTEST).tolist())


@torch.no_grad()
def rescale(encoder: Encoder, decoder: Decoder, scale: Sequence[float]) -> None:
    """Make the encoder's mean `scale` times as large and the decoder expect that: the same model in other units."""
    factor = torch.tensor(scale, dtype=torch.float32)
    encoder.posterior.weight[: len(factor)] *= factor[:, None]
    encoder.posterior.bias[: len(factor)] *= factor
    decoder.expand.weight /= factor
    parts = torch.split(factor, list(encoder.config.parts))
    for analysis, synthesis, scales in zip(encoder.direct, decoder.direct, parts, strict=True):
        analysis.weight.mul_(scales[:, None])
        analysis.bias.mul_(scales)
        synthesis.weight.div_(scales)
