"""A VAE on the public scheme, for as long as ours, on the same recordings: what the representation costs a model.

The blocks of the network, the copies at other pitches, the batches and the schedule are ours. The rest is the
public way: both channels z-scored, the plain L1 of both plus a KL divergence, a random start. Its activations at the
end of the decoder (Softplus and Tanh on z-scored targets, which put most of them out of reach) are left out, which is
in its favour. What it decodes is played twice: through the scheme's own way back, and through the mended one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec
from distill_train.audio import PITCH_RATIOS, change_pitch
from distill_train.config import NetworkConfig, Recipe, network_config
from distill_train.crops import CropSampler
from distill_train.device import choose_precision
from distill_train.loss import sample_latents
from distill_train.options import DEFAULT_SIZE
from distill_train.plan import choose_recipe
from distill_train.schedule import Budget, kl_weight, learning_rate
from distill_train.statistics import Statistics, measure

from .models import Trip
from .public_network import Decoder, Encoder
from .public_scheme import HOP, N_FFT, PublicScheme
from .recordings import SAMPLE_RATE, Recording

Floats = NDArray[np.float32]

N_MELS = 128
WIDTH, LATENTS = 256, 128  # where all has to go through the blocks, fewer lose what no training brings back
LEARNING_RATE, KL_WEIGHT = 1e-3, 1e-4


@dataclass(frozen=True)
class Source:
    """A whole spectrogram in memory, [frames, 2, n_mels]."""

    array: Floats

    @property
    def frames(self) -> int:
        return len(self.array)

    def read(self, start: int, stop: int) -> Floats:
        return self.array[start:stop]


class Learnt(NamedTuple):
    """What training made, and what it took."""

    encoder: Encoder
    decoder: Decoder
    statistics: Statistics
    steps: int
    seconds: float  # of processor time


class PublicVae:
    """Trained networks between the public scheme's analysis and synthesis. mended: by which way back."""

    def __init__(self, learnt: Learnt, mended: bool) -> None:
        self.name = f"{'mended ' if mended else ''}public scheme model"
        self._encoder, self._decoder = learnt.encoder.eval(), learnt.decoder.eval()
        self._statistics = learnt.statistics
        config = learnt.encoder.config
        self._scheme = PublicScheme(config.n_mels, mended)
        self.numbers_per_second = config.latent_dim * SAMPLE_RATE / HOP / config.frames_per_latent

    @torch.inference_mode()
    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        """Through the posterior mean; the sound and the CPU seconds of decoding."""
        frames = self._statistics.normalise(_frames(self._scheme, recording.sound))
        ratio = self._encoder.config.frames_per_latent
        padded = np.pad(frames, ((0, -len(frames) % ratio), (0, 0), (0, 0)), mode="edge")
        latents, _ = self._encoder(torch.from_numpy(padded).permute(1, 2, 0)[None])
        start = time.process_time()
        decoded = self._decoder(latents)[0].permute(2, 0, 1).numpy()[: len(frames)]
        spectrogram = torch.from_numpy(self._statistics.denormalise(decoded)).permute(1, 2, 0)
        sound = self._scheme.synthesize(spectrogram, len(recording.sound))
        return sound, time.process_time() - start


def trip(mended: bool) -> Trip:
    """The representation alone, on a way back that the model has too."""
    return Trip(PublicScheme(N_MELS, mended), f"{'mended ' if mended else ''}public scheme, no model")


def plan(pitches: tuple[str, ...]) -> tuple[Recipe, NetworkConfig]:
    """What ours would be trained with by default on a spectrogram of these bands and this hop, but for the network."""
    spec = SpectrogramSpec(sample_rate=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS)
    precision = choose_precision("auto")
    network = replace(network_config(DEFAULT_SIZE, spec), width=WIDTH, parts=(LATENTS // 2,) * 2)
    return choose_recipe(network.frames_per_latent, pitches, precision), network


def train(sounds: Sequence[Floats], recipe: Recipe, network: NetworkConfig, seed: int, budget: Budget,
          processors: int) -> Learnt:
    """Train on `sounds` (mono, at SAMPLE_RATE).

    A budget of seconds is one of `processors` times as much processor time; torch is expected to be on one thread.
    """
    # A gain in dB means nothing to ln(1 + power); and our rate is one for blocks beside layers that hardly move.
    recipe = replace(recipe, level_jitter_db=0.0, learning_rate=LEARNING_RATE, kl_weight=KL_WEIGHT)
    scheme = PublicScheme(network.n_mels)
    least = recipe.crop_frames * HOP
    sources = [
        Source(_frames(scheme, np.pad(copy, (0, max(0, least - len(copy))))))
        for sound in sounds for pitch in recipe.pitches for copy in [change_pitch(sound, PITCH_RATIOS[pitch])]
    ]
    statistics = measure(source.array for source in sources)
    sampler = CropSampler(sources, statistics, recipe, floor_db=-np.inf)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = Encoder(network), Decoder(network)
    generator = torch.Generator().manual_seed(seed)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.98),
                                  weight_decay=recipe.weight_decay, fused=True)
    began, step = time.process_time(), 0
    while (used := budget.used(step, (time.process_time() - began) / processors)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, used)
        target = sampler.batch(generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            mean, logvar = (part.float() for part in encoder(target))
            latents, logvar = sample_latents(mean, logvar, torch.randn(mean.shape, generator=generator))
            made = decoder(latents).float()
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        loss = (made - target).abs().mean((0, 2, 3)).sum() + kl_weight(recipe, step) * divergence
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimizer.step()
        step += 1
    return Learnt(encoder, decoder, statistics, step, time.process_time() - began)


def _frames(scheme: PublicScheme, sound: Floats) -> Floats:
    """[frames, 2, n_mels], as the crops of training lie in memory."""
    result: Floats = np.ascontiguousarray(scheme.analyze(sound).permute(2, 0, 1).numpy())
    return result
