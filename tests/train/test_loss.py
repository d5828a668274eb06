"""What training minimises, and what learns from which part of it."""

from __future__ import annotations

import pytest
import torch

from distill.spec import SpectrogramSpec
from distill_train.checkpoint import READER
from distill_train.config import Recipe, network_config
from distill_train.loss import Loss, frequency_loss, vae_loss
from distill_train.trainer import Trainer


def test_loud_levels_count_more() -> None:
    target = torch.zeros(1, 8, 2, 4)
    target[:, :, 0, [0, 2, 3]] = -4.0  # 80 dB under the second band
    latents = torch.zeros(1, 3, 4)

    def losses(channel: int, band: int) -> Loss:
        output = target.clone()
        output[:, :, channel, band] += 1.0
        return vae_loss(
            output[:, :, 0], target[:, :, 0], latents, latents, frequency_loss(output[:, :, 1], target, 20.0),
            level_std_db=20.0, loud_weight=0.3, kl_weight=1.0,
        )

    first, second = losses(0, 1), losses(0, 2)
    assert first.loud_level > 90 * second.loud_level and first.level == second.level == 0.25
    assert float(first.total) == pytest.approx(0.25 + 0.3 * float(first.loud_level))
    frequency = losses(1, 1)
    assert frequency.level == frequency.loud_level == frequency.divergence == 0
    assert float(frequency.total) == float(frequency.frequency) == 1


def test_frequencies_count_at_peaks_in_tails_and_not_in_silence() -> None:
    frames = torch.zeros(3, 2, 8)
    frames[:, 0] = -4.0
    frames[0, 0, 1:4] = torch.tensor([3.0, 4.0, 3.5])  # a stroke, 20 dB each, and its skirts
    frames[0, 0, 6] = 0.0  # 80 dB under it
    frames[1, 0, 2] = 2.0  # its tail 40 dB below
    frames[2, 0, 2] = -3.9  # next to silence

    def error(frame: int, band: int) -> float:
        read = frames[:, 1].clone()
        read[frame, band] += 1.0
        return float(frequency_loss(read, frames, 20.0))

    assert error(0, 2) == pytest.approx(error(1, 2)) and error(0, 2) > 0.4 > 0.02 > error(2, 2) > 0
    assert error(0, 1) == error(0, 3) == error(1, 3) == 0 and 0 < error(0, 6) < 0.02 * error(0, 2)
    assert float(frequency_loss(torch.ones(3, 8), torch.zeros(3, 2, 8), 20.0)) == 0  # no peaks at all


def test_frequencies_teach_only_what_reads_them() -> None:
    spec = SpectrogramSpec(n_mels=32)

    class Given:
        def __init__(self, frequencies: float) -> None:
            self.batch_ = torch.randn(2, 2, 32, 64, generator=torch.Generator().manual_seed(0))
            self.batch_[:, 1] *= frequencies

        def batch(self, generator: torch.Generator) -> torch.Tensor:
            return self.batch_

    def stepped(frequencies: float, precision: str = "fp32") -> dict[str, torch.Tensor]:
        recipe = Recipe(kl_warmup_steps=0, precision=precision)
        trainer = Trainer(network_config("small", spec), recipe, 0, torch.device("cpu"))
        for _ in range(3):
            trainer.step(Given(frequencies), 0.0, 20.0)  # type: ignore[arg-type]
        return trainer.state().weights

    one, other = stepped(1.0), stepped(2.0)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == {name for name in one if name.startswith(READER)} and len(changed) == 4
    coarse = stepped(1.0, "bf16")  # slopes are read off in full precision all the same
    assert {name for name in one if torch.equal(one[name], coarse[name])} == changed
