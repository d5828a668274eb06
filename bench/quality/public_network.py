"""Our network for spectrograms whose second channel cannot be read off the first: both go through the latents.

The same kind of blocks, as many of them, wider; a linear layer before them and one after, and no way around them.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_train.config import NetworkConfig
from distill_train.network import Blocks


class Encoder(nn.Module):
    """Spectrogram [B, 2, n_mels, frames] -> posterior mean and log variance, each [B, latent_dim, latent_frames].

    `frames` must be a multiple of frames_per_latent.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = nn.Linear(2 * config.patch_size, config.width)
        self.blocks = Blocks(config)
        self.posterior = nn.Linear(config.width, 2 * config.latent_dim)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        # [B, 2, bands, frames] -> [B, frames, 2, bands] -> [B, latent_frames, frames_per_latent * 2 * bands]
        patches = spectrogram.permute(0, 3, 1, 2).reshape(spectrogram.shape[0], -1, 2 * self.config.patch_size)
        posterior = self.posterior(self.blocks(self.patch(patches))).transpose(1, 2)
        mean, logvar = posterior.chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """Latents [B, latent_dim, latent_frames] -> spectrogram [B, 2, n_mels, latent_frames * frames_per_latent]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.expand = nn.Linear(config.latent_dim, config.width)
        self.blocks = Blocks(config)
        self.patch = nn.Linear(config.width, 2 * config.patch_size)

    def forward(self, latents: Tensor) -> Tensor:
        patches: Tensor = self.patch(self.blocks(self.expand(latents.transpose(1, 2))))
        # [B, latent_frames, frames_per_latent * 2 * bands] -> [B, frames, 2, bands] -> [B, 2, bands, frames]
        frames = patches.reshape(latents.shape[0], -1, 2, self.config.n_mels)
        return frames.permute(0, 2, 3, 1)
