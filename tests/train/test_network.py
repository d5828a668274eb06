"""Shapes, receptive field and reach of the networks, and the principal-component start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from distill.errors import InvalidValue
from distill.spec import SpectrogramSpec
from distill_train.config import SIZES, NetworkConfig, network_config, receptive_field
from distill_train.network import Decoder, Encoder, decoder_mmac_per_second
from distill_train.pca import latent_scale, patch_starts, rescale, start_from_pca

SMALL = NetworkConfig(n_mels=24, latent_dim=8, width=32, blocks=2, kernel_size=5)


def networks(config: NetworkConfig = SMALL) -> tuple[Encoder, Decoder]:
    torch.manual_seed(0)
    encoder, decoder = Encoder(config), Decoder(config)
    for module in (*encoder.modules(), *decoder.modules()):
        if hasattr(module, "scale"):
            nn.init.ones_(module.scale)  # so that the blocks matter
    return encoder.eval(), decoder.eval()


@pytest.mark.parametrize(("batch", "latent_frames"), [(1, 1), (2, 3), (3, 40)])
def test_shapes(batch: int, latent_frames: int) -> None:
    encoder, decoder = networks()
    mean, logvar = encoder(torch.randn(batch, 2, 24, 2 * latent_frames))
    assert mean.shape == logvar.shape == (batch, 8, latent_frames)
    assert decoder(mean).shape == (batch, 2, 24, 2 * latent_frames)


def test_patches_keep_channels_bands_and_frames_apart() -> None:
    encoder, decoder = networks()
    patch = SMALL.patch_size
    config = NetworkConfig(n_mels=24, latent_dim=patch, width=patch, blocks=1)
    encoder, decoder = Encoder(config), Decoder(config)
    for blocks in (encoder.blocks, decoder.blocks):
        blocks.silence()
    with torch.no_grad():
        for linear in (encoder.patch, encoder.posterior, decoder.expand, decoder.patch):
            linear.weight.copy_(torch.eye(*linear.weight.shape))
            linear.bias.zero_()
    spectrogram = torch.randn(2, 2, 24, 10)
    torch.testing.assert_close(decoder(encoder(spectrogram)[0]), spectrogram)


@torch.no_grad()
def test_receptive_field_is_what_it_says_and_no_more() -> None:
    encoder, decoder = networks()
    field = receptive_field(SMALL)
    assert field == (4, 4) == decoder.receptive_field == encoder.receptive_field
    latents = torch.randn(1, 8, 41)
    moved = latents.clone()
    moved[:, :, 20] += 1
    changed = (decoder(latents) - decoder(moved)).abs().amax((0, 1, 2)).reshape(-1, 2).amax(1) > 0
    assert changed.nonzero().flatten().tolist() == list(range(20 - field.right, 20 + field.left + 1))

    spectrogram = torch.randn(1, 2, 24, 82)
    moved = spectrogram.clone()
    moved[:, :, :, 41] += 1
    changed = (encoder(spectrogram)[0] - encoder(moved)[0]).abs().amax((0, 1)) > 0
    assert changed.nonzero().flatten().tolist() == list(range(20 - field.right, 20 + field.left + 1))


@torch.no_grad()
def test_chunks_with_context_equal_the_whole() -> None:
    _, decoder = networks()
    latents = torch.randn(1, 8, 50)
    left, right = decoder.receptive_field
    whole = decoder(latents)
    part = decoder(latents[:, :, 20 - left : 30 + right])[:, :, :, 2 * left : -2 * right]
    torch.testing.assert_close(part, whole[:, :, :, 40:60], rtol=0, atol=1e-5)


@torch.no_grad()
def test_training_mode_computes_the_same() -> None:
    encoder, decoder = networks()
    spectrogram = torch.randn(2, 2, 24, 20)
    calm = decoder(encoder(spectrogram)[0])
    torch.testing.assert_close(decoder.train()(encoder.train()(spectrogram)[0]), calm, rtol=0, atol=1e-5)


def test_targets_far_from_the_mean_can_be_reached() -> None:
    _, decoder = networks()
    target = torch.tensor([-8.0, 8.0]).repeat(24).reshape(1, 2, 24, 1).expand(-1, -1, -1, 8)
    latents = torch.randn(1, 8, 4)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.05)
    for _ in range(150):
        loss = (decoder(latents) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    output = decoder(latents)
    assert output.max() > 6 and output.min() < -6


def low_rank(patches: int, patch: int, rank: int, noise: float) -> torch.Tensor:
    torch.manual_seed(1)
    scale = torch.linspace(2, 0.5, rank)
    return torch.randn(patches, rank) * scale @ torch.randn(rank, patch) + noise * torch.randn(patches, patch) + 0.3


@torch.no_grad()
def test_the_start_is_a_linear_autoencoder_of_the_corpus() -> None:
    patches = low_rank(2000, SMALL.patch_size, rank=12, noise=0.1)
    random_encoder, random_decoder = networks()
    encoder, decoder = networks()
    explained = start_from_pca(encoder, decoder, patches, frequency_weight=1.0)

    spectrogram = patches[:64].reshape(1, 128, 2, 24).permute(0, 2, 3, 1)
    mean, logvar = encoder(spectrogram)
    error = (decoder(mean) - spectrogram).square().mean() / spectrogram.var()
    assert 0.5 < explained < 0.99
    assert float(error) == pytest.approx(1 - explained, abs=0.05)
    guess = random_decoder(random_encoder(spectrogram)[0])
    assert error < 0.5 * (guess - spectrogram).square().mean() / spectrogram.var()

    singular = np.linalg.svd((patches - patches.mean(0)).numpy(), compute_uv=False) ** 2
    assert explained == pytest.approx(singular[:8].sum() / singular.sum(), abs=1e-4)
    all_means, _ = encoder(patches.reshape(1, 4000, 2, 24).permute(0, 2, 3, 1))
    torch.testing.assert_close(all_means.std(2), torch.ones(1, 8), rtol=0, atol=0.02)
    assert logvar.mean() < -2


@torch.no_grad()
def test_the_start_copes_with_fewer_patches_than_components() -> None:
    encoder, decoder = networks()
    patches = low_rank(3, SMALL.patch_size, rank=2, noise=0.0)
    assert start_from_pca(encoder, decoder, patches, 0.1) == pytest.approx(1, abs=1e-3)
    spectrogram = patches.reshape(1, 6, 2, 24).permute(0, 2, 3, 1)
    torch.testing.assert_close(decoder(encoder(spectrogram)[0]), spectrogram, rtol=0, atol=1e-2)
    silent = torch.zeros(4, SMALL.patch_size)
    start_from_pca(encoder, decoder, silent, 0.1)
    assert decoder(torch.randn(1, 8, 5)).isfinite().all()


def test_scaled_latents_are_the_same_model_with_steps_that_are_heard_alike() -> None:
    encoder, decoder = networks()
    patches = low_rank(200, SMALL.patch_size, rank=8, noise=0.01) * torch.linspace(3, 0.1, SMALL.patch_size)
    start_from_pca(encoder, decoder, patches, 1.0)
    spectrogram = patches.reshape(1, 400, 2, 24).permute(0, 2, 3, 1)
    white, before = encoder(spectrogram)[0], decoder(encoder(spectrogram)[0])
    scale = latent_scale(decoder, 1.0)
    assert np.sqrt(np.mean(np.square(scale))) == pytest.approx(1) and scale[0] > 2 * scale[-1]
    rescale(encoder, decoder, scale)
    latents = encoder(spectrogram)[0]
    torch.testing.assert_close(latents, white * torch.tensor(scale)[:, None])
    torch.testing.assert_close(decoder(latents), before, rtol=1e-4, atol=1e-4)
    assert latent_scale(decoder, 1.0) == pytest.approx([1.0] * 8, abs=1e-4)


def test_patches_are_spread_over_all_recordings() -> None:
    starts = patch_starts([1000, 1, 500], 2, limit=100)
    assert len(starts[1]) == 0 and len(starts[0]) + len(starts[2]) <= 101
    assert starts[0][-1] <= 998
    assert [len(s) for s in patch_starts([10, 5], 2)] == [9, 4]


def test_cost_counts_every_weight() -> None:
    _, decoder = networks()
    weights = sum(p.numel() for name, p in decoder.named_parameters() if p.ndim > 1)
    assert decoder_mmac_per_second(SMALL, 100.0) == pytest.approx(weights * 50 / 1e6)


@pytest.mark.parametrize("n_mels", [256, 384, 512])
def test_the_default_decoder_stays_affordable(n_mels: int) -> None:
    spec = SpectrogramSpec(n_mels=n_mels)
    assert decoder_mmac_per_second(network_config("base", spec), spec.frame_rate_hz) < 65


def test_sizes_and_their_errors() -> None:
    costs = [decoder_mmac_per_second(network_config(size, SpectrogramSpec()), 93.75) for size in SIZES]
    assert costs == sorted(costs)
    with pytest.raises(InvalidValue, match="small, base, large"):
        network_config("huge", SpectrogramSpec())
    with pytest.raises(InvalidValue, match="odd"):
        NetworkConfig(n_mels=64, kernel_size=4)
    with pytest.raises(InvalidValue, match="latent_dim"):
        NetworkConfig(n_mels=64, latent_dim=512)
