"""The unit of wander: the corpus's own where that is gentle, less where it would make the corpus louder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distill.prior import Prior
from distill_export.wander import LOUDER_DB, gentle

FULL_DB = LOUDER_DB[1.0]


class Decoder:
    """Four bands, each following one latent: `slope` dB for one of its units."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def normalised(self, latents: np.ndarray) -> np.ndarray:
        return np.stack([latents * self.slope - 30, latents])

    def denormalise(self, spectrogram: np.ndarray) -> np.ndarray:
        return spectrogram


def prior(frames: int = 3000) -> Prior:
    latents = np.random.default_rng(0).standard_normal((4, frames)).astype(np.float32)
    return Prior(latents, np.array([0, frames]), ("a",), np.eye(4, dtype=np.float32),
                 np.full(frames, 60, np.float32))


def louder_by(decoder: Any, source: Prior, spread: np.ndarray) -> float:
    noise = spread @ np.random.default_rng(1).standard_normal(source.latents.shape)
    with_noise, without = ((10 ** (decoder.normalised(latents)[0] / 10)).sum()
                           for latents in (source.latents + noise, source.latents))
    return float(10 * np.log10(with_noise / without))


def test_a_gentle_unit_is_left_alone() -> None:
    source, decoder = prior(), Decoder(2.0)
    assert gentle(source.spread, source, 47.0, decoder) is source.spread  # type: ignore[arg-type]
    assert louder_by(decoder, source, source.spread) < FULL_DB


@pytest.mark.parametrize("slope", [6.0, 8.0])
def test_a_loud_unit_is_made_smaller(slope: float) -> None:
    source, decoder = prior(), Decoder(slope)
    unit = gentle(source.spread, source, 47.0, decoder)  # type: ignore[arg-type]
    share = unit[0, 0]
    assert 0 < share < 0.9 and np.array_equal(unit, share * source.spread)
    assert louder_by(decoder, source, source.spread) > 1.5 * FULL_DB
    assert louder_by(decoder, source, unit) == pytest.approx(FULL_DB, abs=1.0)


def test_very_small_corpora() -> None:
    for frames in (1, 2, 7, 8, 9):
        assert np.isfinite(gentle(np.eye(4, dtype=np.float32), prior(frames), 47.0, Decoder(9.0))).all()  # type: ignore[arg-type]


class Saturated(Decoder):
    """Any way from where the corpus lies is louder, and a little noise nearly as much as a lot."""

    def normalised(self, latents: np.ndarray) -> np.ndarray:
        return np.stack([2.4 * np.abs(np.tanh(self.slope * latents)) - 30, latents])


def test_the_default_alone_may_be_too_loud() -> None:
    frames, decoder = 3000, Saturated(10.0)
    source = Prior(np.zeros((4, frames), np.float32), np.array([0, frames]), ("a",), np.eye(4, dtype=np.float32),
                   np.full(frames, 60, np.float32))
    assert louder_by(decoder, source, source.spread) < FULL_DB
    unit = gentle(source.spread, source, 47.0, decoder)  # type: ignore[arg-type]
    assert 0.1 < louder_by(decoder, source, np.float32(0.3) * unit) < 0.5
