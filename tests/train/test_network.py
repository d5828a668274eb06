"""Shapes, receptive field and reach of the networks, and the principal-component start."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from distill.dsp import analyze
from distill.errors import InvalidValue
from distill.spec import SpectrogramSpec
from distill_train.config import (
    SIZES,
    NetworkConfig,
    affordable_latents,
    decoder_mmac_per_second,
    network_config,
    receptive_field,
)
from distill_train.frequency import FrequencyReader, learn
from distill_train.loss import frequency_loss
from distill_train.network import Decoder, Encoder, cosines
from distill_train.pca import (
    FIRST_LOGVAR_RANGE,
    NOISE,
    latent_scale,
    patch_starts,
    principal_components,
    rescale,
    start_from_pca,
)
from distill_train.transpose import transposed

SMALL = NetworkConfig(n_mels=24, parts=(5, 3), width=32, blocks=2, kernel_size=5)


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


@torch.no_grad()
def test_patches_keep_bands_and_frames_apart() -> None:
    config = NetworkConfig(n_mels=24, parts=(24,) * 4, frames_per_latent=4, width=16, blocks=1)
    encoder, decoder = networks(config)
    for network in (encoder, decoder):
        network.blocks.silence()
        for layer in network.direct:
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
    for offset in (encoder.posterior.bias, decoder.patch.bias):
        nn.init.zeros_(offset)
    spectrogram = torch.randn(2, 2, 24, 12)
    output = decoder(encoder(spectrogram)[0])
    torch.testing.assert_close(output[:, 0], spectrogram[:, 0])
    torch.testing.assert_close(output[:, 1], decoder.frequency(spectrogram[:, 0].transpose(1, 2)).transpose(1, 2))


@torch.no_grad()
def test_receptive_field_is_what_it_says_and_no_more() -> None:
    encoder, decoder = networks()
    field = receptive_field(SMALL)
    assert field == (4, 4) == encoder.receptive_field
    assert decoder.receptive_field == (5, 4)  # frequencies are read with the frame before
    latents = torch.randn(1, 8, 41)
    moved = latents.clone()
    moved[:, :, 20] += 1
    changed = (decoder(latents) - decoder(moved)).abs().amax((0, 1, 2)).reshape(-1, 2).amax(1) > 0
    assert changed.nonzero().flatten().tolist() == list(range(20 - field.right, 20 + field.left + 2))

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


def low_rank(patches: int, rank: int, noise: float, frames: int = 2, n_mels: int = 24) -> torch.Tensor:
    """Levels [patches, frames, n_mels]."""
    torch.manual_seed(1)
    patch, scale = frames * n_mels, torch.linspace(2, 0.5, rank)
    levels = torch.randn(patches, rank) * scale @ torch.randn(rank, patch) + noise * torch.randn(patches, patch) + 0.3
    return levels.reshape(patches, frames, n_mels)


def as_spectrogram(levels: torch.Tensor) -> torch.Tensor:
    """Patches [patches, frames, n_mels] one after the other as a spectrogram [1, 2, n_mels, all frames]."""
    level = levels.flatten(0, 1).T
    return torch.stack([level, torch.randn(level.shape)])[None]


def test_the_cosines_are_a_turn_of_the_frames_the_slowest_first() -> None:
    for frames in (1, 2, 4, 8):
        rows = cosines(frames)
        torch.testing.assert_close(rows @ rows.T, torch.eye(frames), rtol=0, atol=1e-6)
        assert (rows.sign().diff(dim=1) != 0).sum(1).tolist() == list(range(frames))
        torch.testing.assert_close(rows[0], torch.full((frames,), frames**-0.5))


@torch.no_grad()
def test_the_start_is_a_linear_autoencoder_of_the_corpus() -> None:
    levels = low_rank(2000, rank=12, noise=0.1)
    components = principal_components(levels)
    config = components.fit(SMALL, residual=0.0)
    assert config.latent_dim == 8 and min(config.parts) >= 1 and replace(config, parts=SMALL.parts) == SMALL
    encoder, decoder = networks(config)
    guess = decoder(encoder(as_spectrogram(levels))[0])[:, 0]
    start_from_pca(encoder, decoder, components)

    spectrogram = as_spectrogram(levels)
    mean, _ = encoder(spectrogram)
    error = (decoder(mean)[:, 0] - spectrogram[:, 0]).square().mean()
    assert components.left_out(config) == pytest.approx(float(error.sqrt()), rel=1e-3)
    assert error < 0.5 * (guess - spectrogram[:, 0]).square().mean()
    torch.testing.assert_close(mean.std(2), torch.ones(1, 8), rtol=0, atol=0.02)

    # Of each part no other directions leave less out.
    parts = (cosines(2) @ levels).transpose(0, 1).numpy()
    left = 0.0
    for part, latents in zip(parts, config.parts, strict=True):
        singular = np.linalg.svd(part - part.mean(0), compute_uv=False) ** 2
        left += singular[latents:].sum()
    assert float(error) * levels.numel() == pytest.approx(left, rel=1e-2)

    # The noise of each latent is heard alike, but for the faintest, where it would be most of them.
    nn.init.zeros_(encoder.posterior.weight)
    sigma = (encoder(spectrogram)[1][0, :, 0] / 2).exp()
    spread = torch.cat([layer.weight.square().sum(0).sqrt() for layer in decoder.direct])
    torch.testing.assert_close(sigma, (NOISE * spread.min() / spread).clamp_max(math.exp(FIRST_LOGVAR_RANGE[1] / 2)))


def test_as_many_latents_as_are_needed() -> None:
    components = principal_components(low_rank(2000, rank=6, noise=0.01))
    most = replace(SMALL, parts=(24, 24))
    fitted = components.fit(most, residual=0.05)
    assert 6 <= fitted.latent_dim <= 13 and components.left_out(fitted) <= 0.05
    fewer = components.fit(most, residual=0.5)
    assert fewer.latent_dim < fitted.latent_dim and components.left_out(fewer) <= 0.5
    assert components.fit(most, residual=100.0).parts == (1, 1)
    few = components.fit(most, residual=0.05, most=5)
    assert few.latent_dim == 5 and components.left_out(few) > components.left_out(fitted)


def test_a_long_corpus_has_fewer_latents() -> None:
    most = network_config("base", SpectrogramSpec(n_fft=1024, hop_length=256)).latent_dim
    assert affordable_latents(4, 5_000) >= most == 1536  # under two minutes: as many as there can be
    hour, ten = (affordable_latents(2, round(hours * 3600 * 46.875)) for hours in (1, 10))
    assert 128 < hour < 160 and ten == 128


@torch.no_grad()
def test_the_start_copes_with_fewer_patches_than_components() -> None:
    levels = low_rank(3, rank=2, noise=0.0)
    components = principal_components(levels)
    encoder, decoder = networks(replace(SMALL, parts=(4, 4)))
    start_from_pca(encoder, decoder, components)
    spectrogram = as_spectrogram(levels)
    torch.testing.assert_close(decoder(encoder(spectrogram)[0])[:, 0], spectrogram[:, 0], rtol=0, atol=1e-2)
    silent = principal_components(torch.zeros(4, 2, 24))
    encoder, decoder = networks(silent.fit(SMALL, 0.1))
    start_from_pca(encoder, decoder, silent)
    assert decoder(torch.randn(1, encoder.config.latent_dim, 5)).isfinite().all()


def test_scaled_latents_are_the_same_model_with_steps_that_are_heard_alike() -> None:
    levels = low_rank(200, rank=8, noise=0.01) * torch.linspace(3, 0.1, 24)
    components = principal_components(levels)
    encoder, decoder = networks(components.fit(SMALL, 0.0))
    start_from_pca(encoder, decoder, components)
    with torch.no_grad():
        nn.init.normal_(decoder.blocks[0].project.weight, std=0.1)  # so that the blocks add something
        spectrogram = as_spectrogram(levels)
        white, before = encoder(spectrogram)[0], decoder(encoder(spectrogram)[0])
        scale = latent_scale(decoder)
        assert np.sqrt(np.mean(np.square(scale))) == pytest.approx(1) and max(scale) > 2 * min(scale)
        rescale(encoder, decoder, scale)
        latents = encoder(spectrogram)[0]
        torch.testing.assert_close(latents, white * torch.tensor(scale)[:, None])
        torch.testing.assert_close(decoder(latents), before, rtol=1e-4, atol=1e-4)
    assert latent_scale(decoder) == pytest.approx([1.0] * 8, abs=1e-4)


def test_frequencies_are_read_off_levels_of_notes_never_heard() -> None:
    spec = SpectrogramSpec(sample_rate=16_000, n_fft=512, hop_length=128, n_mels=64)
    time = np.arange(1600) / spec.sample_rate

    def notes(*pitches: float) -> torch.Tensor:
        sounds = [sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3)) for pitch in pitches]
        frames = np.concatenate([analyze(0.3 * sound.astype(np.float32), spec)[:, :, 4:-4] for sound in sounds], axis=2)
        frames[0] = (frames[0] + 60) / 20
        pairs = np.stack([frames[:, :, :-1], frames[:, :, 1:]])
        return torch.from_numpy(pairs.transpose(3, 0, 1, 2).copy())

    torch.manual_seed(0)
    reader = FrequencyReader(spec.n_mels)
    learn(reader, notes(*np.linspace(200, 420, 12)), 20.0, torch.Generator().manual_seed(0))
    others = notes(*np.linspace(211, 403, 7))
    now = others[:, 1]
    with torch.no_grad():
        read = reader(others[:, :, 0])[:, 1]
    assert frequency_loss(read, now, 20.0) < 0.5 * frequency_loss(torch.zeros_like(read), now, 20.0)


def test_frequencies_read_at_once_are_the_same() -> None:
    torch.manual_seed(0)
    reader, levels = FrequencyReader(64), torch.randn(3, 9, 64)
    torch.nn.init.normal_(reader.offset)
    torch.testing.assert_close(reader.at_once(levels), reader(levels), rtol=1e-5, atol=1e-5)


def test_transposed_levels_are_near_those_of_the_sound_at_that_pitch() -> None:
    spec = SpectrogramSpec(sample_rate=16_000, n_fft=512, hop_length=128, n_mels=64)
    time = np.arange(1600) / spec.sample_rate

    def levels(pitch: float) -> torch.Tensor:
        return torch.from_numpy(analyze((0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32), spec)[0, :, 4:6].T)

    patches = torch.stack([levels(400)] * 2)
    assert torch.equal(transposed(patches, ("original",), spec), patches)
    more = transposed(patches, ("original", "up-1.5", "down-1.5"), spec)
    assert more.shape == (4, 2, 64) and torch.equal(more[:2], patches)
    for moved, ratio in zip(more[2:], (12 / 11, 11 / 12), strict=True):
        truth = levels(400 * ratio)
        loud = truth > truth.max() - 15
        assert (moved - truth)[loud].abs().mean() < 0.2 * (patches[0] - truth)[loud].abs().mean()


def test_patches_are_spread_over_all_recordings() -> None:
    starts = patch_starts([1000, 1, 500], 2, limit=100)
    assert len(starts[1]) == 0 and len(starts[0]) + len(starts[2]) <= 101
    assert starts[0][-1] <= 998
    assert [len(s) for s in patch_starts([10, 5], 2)] == [9, 4]


def test_cost_counts_every_weight() -> None:
    _, decoder = networks()
    within = sum(p.numel() for name, p in decoder.named_parameters() if p.ndim > 1 and "frequency" not in name)
    turned, read = 2 * 2 * 24, 2 * 24 * (decoder.frequency.look.weight.numel() + 6)
    assert decoder_mmac_per_second(SMALL, 100.0) == pytest.approx((within + turned + read) * 50 / 1e6)


@pytest.mark.parametrize("n_mels", [256, 384, 640])
def test_the_default_decoder_stays_affordable(n_mels: int) -> None:
    spec = SpectrogramSpec(n_mels=n_mels)
    assert decoder_mmac_per_second(network_config("base", spec), spec.frame_rate_hz) < 65


def test_sizes_and_their_errors() -> None:
    costs = [decoder_mmac_per_second(network_config(size, SpectrogramSpec()), 93.75) for size in SIZES]
    assert costs == sorted(costs)
    with pytest.raises(InvalidValue, match="small, base, large"):
        network_config("huge", SpectrogramSpec())
    with pytest.raises(InvalidValue, match="odd"):
        NetworkConfig(n_mels=64, parts=(4, 4), kernel_size=4)
    for parts in ((65, 1), (8,), (4, 4, 4)):
        with pytest.raises(InvalidValue, match="parts"):
            NetworkConfig(n_mels=64, parts=parts)
    with pytest.raises(InvalidValue, match="at least 1"):
        NetworkConfig(n_mels=64, parts=(8, 0))
