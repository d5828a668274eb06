"""The average of the weights is that of the weights that learn, wherever these are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_train.config import NetworkConfig, Recipe
from distill_train.trainer import Trainer

DECAY, EVERY = 0.9, 2
CONFIG = NetworkConfig(n_mels=16, parts=(3, 2), width=16, blocks=1)


class Noise:
    def batch(self, generator: torch.Generator) -> Tensor:
        return torch.randn(2, 2, 16, 8, generator=generator)


def test_the_average_follows_weights_that_moved() -> None:
    """As they do on their way to a GPU and back: a module's weights are then kept in another place."""
    trainer = Trainer(CONFIG, Recipe(ema_decay=DECAY, ema_every=EVERY), 1, torch.device("cpu"))
    before = [parameter.data_ptr() for parameter in trainer.decoder.parameters()]
    kept = [parameter.data for parameter in trainer.decoder.parameters()]  # or the same place would be free again
    for network in (trainer.encoder, trainer.decoder):
        network.double().float()
    assert kept and before != [parameter.data_ptr() for parameter in trainer.decoder.parameters()]
    expected = trainer.average()
    for step in range(1, 31):
        trainer.step(Noise(), step / 30, 10.0)  # type: ignore[arg-type]
        if step % EVERY == 0:
            share = max(1 - DECAY**EVERY, EVERY / (step + 1))
            weights = trainer.state().weights
            expected = {name: tensor.lerp(weights[name], share) for name, tensor in expected.items()}
    average = trainer.average()
    for name, tensor in expected.items():
        assert torch.allclose(average[name], tensor, atol=1e-6), name
    assert any(not torch.allclose(average[name], tensor, atol=1e-3) for name, tensor in trainer.state().weights.items())
