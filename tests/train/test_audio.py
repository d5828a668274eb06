"""Resampling and pitch copies: right length, right pitch, right level."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from distill_train import audio
from distill_train.audio import PITCH_RATIOS, change_pitch, repitched_length, resample, resampled_length


def tone(frequency_hz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def middle(samples: np.ndarray) -> np.ndarray:
    return samples[len(samples) // 4 : -len(samples) // 4]


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 44056, 47999, 96000])
def test_resampling_keeps_a_tone(rate: int) -> None:
    result = resample(tone(997.0, rate), rate, 48_000)
    assert len(result) == resampled_length(rate, rate, 48_000) == pytest.approx(48_000, abs=48)
    if rate % 50 == 0:
        np.testing.assert_allclose(middle(result), middle(tone(997.0, 48_000, len(result) / 48_000)), atol=2e-3)
    else:  # an odd rate becomes a simpler neighbour: the phase drifts, by far less than a cent
        carrier = result * np.exp(-2j * np.pi * 997 * np.arange(len(result)) / 48_000)
        early, late = carrier[4800:14400].mean(), carrier[33600:43200].mean()  # .6 s apart
        drift_hz = np.angle(late / early) / (2 * np.pi * 0.6)
        assert abs(1200 * np.log2(1 + drift_hz / 997)) < 0.2


@pytest.mark.parametrize("ratio", [Fraction(160, 147), Fraction(1, 3), Fraction(23, 24), Fraction(70, 69)])
def test_blocks_join_to_the_whole(ratio: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 5003).astype(np.float32)
    whole = audio._resample(samples, ratio)
    monkeypatch.setattr(audio, "_BLOCK", 500)
    np.testing.assert_allclose(audio._resample(samples, ratio), whole, atol=1e-6)


def test_same_rate_is_the_same_samples() -> None:
    samples = tone(440.0, 48_000)
    assert resample(samples, 48_000, 48_000) is samples


@pytest.mark.parametrize("name", [name for name in PITCH_RATIOS if name != "original"])
def test_pitch_copies(name: str) -> None:
    ratio = PITCH_RATIOS[name]
    way, _, amount = name.partition("-")
    semitones = float(amount) if way == "up" else -float(amount)
    result = change_pitch(tone(1000.0, 48_000), ratio)
    assert len(result) == repitched_length(48_000, ratio)
    spectrum = np.abs(np.fft.rfft(result * np.hanning(len(result))))
    frequency = spectrum.argmax() * 48_000 / len(result)
    assert 12 * np.log2(frequency / 1000) == pytest.approx(semitones, abs=0.03)
    assert np.abs(middle(result)).max() == pytest.approx(0.5, abs=1e-2)


def test_every_length_comes_out_whole() -> None:
    """126013 samples at 44.1 kHz are 137157.007 at 48 kHz: 137158, though float32 cannot tell it from 137157."""
    samples = np.ones(126_013, np.float32)
    assert len(resample(samples, 44_100, 48_000)) == resampled_length(126_013, 44_100, 48_000) == 137_158
