"""The VAE: patches of the spectrogram -> features -> latents, and back.

    spectrogram [B, 2, n_mels, frames]
      -> patches [B, latent_frames, patch]  -> Linear -> ConvNeXt blocks -> Linear -> mean, logvar [B, D, latent_frames]
      latents [B, D, latent_frames]         -> Linear -> ConvNeXt blocks -> Linear -> patches -> spectrogram

Everything works in normalised units (zero mean, unit variance over the corpus). The output is linear, so no target is
out of reach. Nothing normalises over time and nothing recurs: a frame depends on `receptive_field` and no further,
which is what lets a decoder run in chunks and give the same numbers.
"""

from __future__ import annotations

from torch import Tensor, nn

from .config import NetworkConfig, ReceptiveField, receptive_field


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


class Encoder(nn.Module):
    """Spectrogram [B, 2, n_mels, frames] -> posterior mean and log variance, each [B, latent_dim, latent_frames].

    `frames` must be a multiple of frames_per_latent.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = nn.Linear(config.patch_size, config.width)
        self.blocks = Blocks(config)
        self.posterior = nn.Linear(config.width, 2 * config.latent_dim)

    @property
    def receptive_field(self) -> ReceptiveField:
        """Latent frames to the left and right that one latent frame depends on."""
        return receptive_field(self.config)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        # [B, 2, bands, frames] -> [B, frames, 2, bands] -> [B, latent_frames, frames_per_latent * 2 * bands]
        patches = spectrogram.permute(0, 3, 1, 2).reshape(spectrogram.shape[0], -1, self.config.patch_size)
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
        self.patch = nn.Linear(config.width, config.patch_size)

    @property
    def receptive_field(self) -> ReceptiveField:
        """Latent frames to the left and right that one decoded frame depends on."""
        return receptive_field(self.config)

    def forward(self, latents: Tensor) -> Tensor:
        patches: Tensor = self.patch(self.blocks(self.expand(latents.transpose(1, 2))))
        # [B, latent_frames, frames_per_latent * 2 * bands] -> [B, frames, 2, bands] -> [B, 2, bands, frames]
        frames = patches.reshape(latents.shape[0], -1, 2, self.config.n_mels)
        return frames.permute(0, 2, 3, 1)


def decoder_mmac_per_second(config: NetworkConfig, frame_rate_hz: float) -> float:
    """Millions of multiply-accumulates that decoding one second of audio costs (biases and activations left out)."""
    width = config.width
    block = width * config.kernel_size + 2 * config.expansion * width * width
    latent_frame = config.latent_dim * width + config.blocks * block + width * config.patch_size
    return latent_frame * frame_rate_hz / config.frames_per_latent / 1e6
