"""The VAE: patches of the spectrogram's levels -> latents, and back.

    spectrogram [B, 2, n_mels, frames]
      -> levels, patch by patch, through cosines over the frames of a patch -> parts [B, latent_frames, parts, n_mels]
      -> a Linear a part, its latents;  + Linear -> ConvNeXt blocks -> Linear -> mean, logvar [B, D, latent_frames]
      latents [B, D, latent_frames]
      -> a Linear a part;  + Linear -> ConvNeXt blocks -> Linear -> parts -> levels -> frequencies read off them

The direct way through is where the principal components begin (`pca`). It costs little, so there can be more latents
than features between the blocks. What the blocks add is what a linear model cannot do.

Everything works in normalised units (zero mean, unit variance over the corpus). The output is linear, so no level is
out of reach. Nothing normalises over time and nothing recurs: a frame depends on `receptive_field` and no further,
which is what lets a decoder run in chunks and give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from .config import NetworkConfig, ReceptiveField, receptive_field
from .frequency import FrequencyReader


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a two-layer perceptron at each frame, added to the input.

    Shape: features [B, latent_frames, width] -> the same. Source: Liu et al. 2022, "A ConvNet for the 2020s".
    """

    def __init__(self, width: int, expansion: int, kernel_size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.activation = nn.GELU()
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(self.norm.weight.new_full((width,), 0.1))

    def forward(self, features: Tensor) -> Tensor:
        hidden: Tensor = self.depthwise(features.transpose(1, 2)).transpose(1, 2)
        hidden = self.project(self.activation(self.expand(self.norm(hidden))))
        return features + self.scale * hidden


class Blocks(nn.ModuleList):
    """ConvNeXt blocks one after the other. Shape: features [B, latent_frames, width] -> the same."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(
            ConvNeXtBlock(config.width, config.expansion, config.kernel_size) for _ in range(config.blocks)
        )

    def forward(self, features: Tensor) -> Tensor:
        for block in self:
            features = block(features)
        return features

    def silence(self) -> None:
        """Make every block add nothing, until training changes that."""
        for block in self:
            assert isinstance(block, ConvNeXtBlock)
            nn.init.zeros_(block.project.weight)
            nn.init.zeros_(block.project.bias)


def cosines(frames: int) -> Tensor:
    """[parts, frames], as many parts as frames: row k has k half periods. Orthonormal (DCT-II)."""
    k, t = torch.arange(frames)[:, None], torch.arange(frames)[None]
    rows = torch.cos(math.pi * (t + 0.5) * k / frames) * math.sqrt(2 / frames)
    rows[0] /= math.sqrt(2)
    return rows


class Layers(nn.ModuleList):
    """A linear layer for each part."""

    def __init__(self, shapes: Iterable[tuple[int, int]]) -> None:
        super().__init__(nn.Linear(*shape) for shape in shapes)

    def __iter__(self) -> Iterator[nn.Linear]:
        return super().__iter__()  # type: ignore[return-value]

    def forward(self, parts: Sequence[Tensor]) -> list[Tensor]:
        return [layer(part) for layer, part in zip(self, parts, strict=True)]


class Encoder(nn.Module):
    """Spectrogram [B, 2, n_mels, frames] -> posterior mean and log variance, each [B, latent_dim, latent_frames].

    `frames` must be a multiple of frames_per_latent. Only the levels are looked at.
    """

    cosines: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cosines", cosines(config.frames_per_latent), persistent=False)
        self.direct = Layers((config.n_mels, latents) for latents in config.parts)
        self.patch = nn.Linear(config.patch_size, config.width)
        self.blocks = Blocks(config)
        self.posterior = nn.Linear(config.width, 2 * config.latent_dim)

    @property
    def receptive_field(self) -> ReceptiveField:
        """Latent frames to the left and right that one latent frame depends on."""
        return receptive_field(self.config)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        # [B, bands, frames] -> [B, frames, bands] -> [B, latent_frames, frames_per_latent, bands]
        levels = spectrogram[:, 0].transpose(1, 2)
        parts = self.cosines @ levels.reshape(levels.shape[0], -1, self.config.frames_per_latent, self.config.n_mels)
        features = self.patch(parts.flatten(2))
        mean, logvar = self.posterior(self.blocks(features) - features).chunk(2, dim=2)
        return (mean + torch.cat(self.direct(parts.unbind(2)), dim=2)).transpose(1, 2), logvar.transpose(1, 2)


class Decoder(nn.Module):
    """Latents [B, latent_dim, latent_frames] -> spectrogram [B, 2, n_mels, latent_frames * frames_per_latent]."""

    cosines: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cosines", cosines(config.frames_per_latent), persistent=False)
        self.direct = Layers((latents, config.n_mels) for latents in config.parts)
        self.expand = nn.Linear(config.latent_dim, config.width)
        self.blocks = Blocks(config)
        self.patch = nn.Linear(config.width, config.patch_size)
        self.frequency = FrequencyReader(config.n_mels)

    @property
    def receptive_field(self) -> ReceptiveField:
        """Latent frames to the left and right that one decoded frame depends on."""
        left, right = receptive_field(self.config)
        return ReceptiveField(left + 1, right)  # its first spectrogram frame is read with the one before

    def levels(self, latents: Tensor) -> Tensor:
        """Channel 0 alone, [B, frames, n_mels]."""
        latents = latents.transpose(1, 2)
        features = self.expand(latents)
        added = self.patch(self.blocks(features) - features)
        direct = self.direct(torch.split(latents, list(self.config.parts), dim=2))
        parts = torch.stack(direct, dim=2) + added.reshape(*added.shape[:2], -1, self.config.n_mels)
        # [B, latent_frames, parts, bands] -> [B, latent_frames, frames_per_latent, bands] -> [B, frames, bands]
        levels: Tensor = (self.cosines.T @ parts).flatten(1, 2)
        return levels

    def forward(self, latents: Tensor) -> Tensor:
        levels = self.levels(latents)
        return torch.stack([levels, self.frequency(levels)], dim=1).transpose(2, 3)
