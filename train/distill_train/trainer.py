"""One training run's changing state and its step. What surrounds it (files, clocks, signals) is in `session`."""

from __future__ import annotations

import contextlib
import copy
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from distill.errors import NumericError

from .checkpoint import join_weights, split_weights
from .config import NetworkConfig, Recipe
from .crops import CropSampler
from .ema import MovingAverage
from .frequency import reading_loss
from .loss import sample_latents, vae_loss
from .network import Decoder, Encoder
from .schedule import kl_weight, learning_rate

_READ_EVERY = 4  # crops of a batch, of which one is enough for the few weights that read frequencies off


class StepLoss(NamedTuple):
    """The losses of one step, as in `loss.Loss`: distances in normalised units, divergence in nats."""

    total: float
    level: float
    loud_level: float
    frequency: float
    divergence: float


class TrainerState(NamedTuple):
    """Everything that the next step depends on, on the CPU, and shared with nothing."""

    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]
    rng: dict[str, Tensor]
    steps: int


class Trainer:
    """Networks, their moving average, the optimiser and the random generator, which move together.

    The same seed, sampler, thread count and sequence of `used` shares give the same weights, bit for bit on a CPU,
    also across `state` and `restore`.
    """

    def __init__(self, config: NetworkConfig, recipe: Recipe, seed: int, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.recipe = recipe
        self.device = device
        self.steps = 0
        self.generator = torch.Generator().manual_seed(seed)  # on the CPU, so that a seed means the same everywhere
        self.encoder.to(device)
        self.decoder.to(device)
        self.ema_encoder = copy.deepcopy(self.encoder).eval().requires_grad_(False)
        self.ema_decoder = copy.deepcopy(self.decoder).eval().requires_grad_(False)
        self._reader = [*self.decoder.frequency.parameters()]
        reader = {id(p) for p in self._reader}
        self._autoencoder = [p for p in (*self.encoder.parameters(), *self.decoder.parameters()) if id(p) not in reader]
        self._average = MovingAverage((self.encoder, self.decoder), (self.ema_encoder, self.ema_decoder),
                                      recipe.ema_decay, recipe.ema_every)
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True,
        )

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by how they learn.

        AdamW moves every weight by about the learning rate, however small its gradient. The blocks and the layers about
        them begin by adding nothing and may go fast; at the same rate the direct layers, whose many small weights are
        the principal components, would be shaken apart within some steps and have to be learnt again. What reads the
        frequencies off is small and learns on its own.
        """
        recipe = self.recipe
        fitted = [*self.encoder.direct.parameters(), *self.decoder.direct.parameters()]
        known = {id(p) for p in fitted}
        others = [p for p in self._autoencoder if id(p) not in known]
        return [
            {"params": [p for p in others if p.ndim > 1], "rate": 1.0, "weight_decay": recipe.weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "rate": 1.0, "weight_decay": 0.0},
            {"params": fitted, "rate": recipe.linear_rate, "weight_decay": 0.0},
            {"params": self._reader, "rate": recipe.reader_rate, "weight_decay": 0.0},
        ]

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Set the weights and their average, as `join_weights` joins them, before the first step."""
        split_weights(weights, self.encoder, self.decoder)
        split_weights(weights, self.ema_encoder, self.ema_decoder)

    def step(self, sampler: CropSampler, used: float, level_std_db: float) -> StepLoss:
        """One batch. `used` is the share of the budget behind us, which sets the learning rate.

        Raises NumericError if the loss is not finite; the weights are then those before the step.
        """
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.steps, used) * group["rate"]
        target = sampler.batch(self.generator).to(self.device)
        bf16 = recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext():
            mean, logvar = self.encoder(target)
            mean, logvar = mean.float(), logvar.float()
            noise = torch.randn(mean.shape, generator=self.generator).to(self.device)
            latents, logvar = sample_latents(mean, logvar, noise)
            levels = self.decoder.levels(latents).float()
        frames = target.permute(0, 3, 1, 2)
        frequency = reading_loss(self.decoder.frequency, frames[::_READ_EVERY], level_std_db)
        loss = vae_loss(
            levels, frames[:, :, 0], mean, logvar, frequency, level_std_db=level_std_db,
            loud_weight=recipe.loud_weight, kl_weight=kl_weight(recipe, self.steps),
        )
        total = float(loss.total.detach())
        if not math.isfinite(total):
            raise NumericError(f"the loss became {total} at step {self.steps + 1}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        for weights in (self._autoencoder, self._reader):  # neither's gradient depends on the other
            nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
        self.optimizer.step()
        self.steps += 1
        self._average.update(self.steps)
        return StepLoss(total, *(float(part) for part in loss[1:]))

    def average(self) -> dict[str, Tensor]:
        """A copy of the averaged weights, on the CPU."""
        return dict(_on_cpu(self._averaged()))

    def state(self) -> TrainerState:
        """A copy of everything the next step depends on."""
        return TrainerState(
            weights=_on_cpu(self._live()), ema=_on_cpu(self._averaged()),
            optimizer=_on_cpu(self.optimizer.state_dict()), rng={"cpu": self.generator.get_state()}, steps=self.steps,
        )

    def restore(self, state: TrainerState) -> None:
        """Go on from `state`."""
        split_weights(state.weights, self.encoder, self.decoder)
        split_weights(state.ema, self.ema_encoder, self.ema_decoder)
        self.optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        self.generator.set_state(state.rng["cpu"])
        self.steps = state.steps

    def _live(self) -> dict[str, Tensor]:
        return join_weights(self.encoder, self.decoder)

    def _averaged(self) -> dict[str, Tensor]:
        return join_weights(self.ema_encoder, self.ema_decoder)


def _on_cpu(value: Any) -> Any:
    """A deep copy with its tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_on_cpu(item) for item in value)
    return value
