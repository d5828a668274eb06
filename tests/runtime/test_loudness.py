"""Loudness against what the standards print: coefficients, the EBU's test signals, and a second implementation."""

from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest

from distill.errors import InvalidValue
from distill.loudness import Meter, integrated_lufs, k_weighting, true_peak_db

RNG = np.random.default_rng(3)


def sine(frequency: float, seconds: float, peak_db: float, rate: int = 48_000, phase: float = 0.0) -> np.ndarray:
    return 10 ** (peak_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate + phase)


def stereo(*parts: tuple[float, float]) -> np.ndarray:
    """(seconds, dBFS) after one another: 1 kHz in both channels, as EBU Tech 3341 has its signals."""
    line = np.concatenate([sine(1000, seconds, level) for seconds, level in parts])
    return np.stack([line, line])


def test_coefficients_are_those_of_the_recommendation() -> None:
    over, under = k_weighting(48_000)
    np.testing.assert_allclose(over[0], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-12)
    np.testing.assert_allclose(under[0], [1, -1.69065929318241, 0.73248077421585], atol=1e-12)
    np.testing.assert_allclose(over[1], [1, -2, 1])
    np.testing.assert_allclose(under[1], [1, -1.99004745483398, 0.99007225036621], atol=1e-12)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_full_scale_sine_reads_3_01_under(rate: int) -> None:
    # the bilinear transform bends the curve a little at low rates
    assert integrated_lufs(sine(997, 3, 0, rate), rate) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize(("parts", "expected"), [  # EBU Tech 3341, minimum requirements, signals 1 to 5
    ([(20, -23.0)], -23.0),
    ([(20, -33.0)], -33.0),
    ([(10, -36.0), (60, -23.0), (10, -36.0)], -23.0),
    ([(10, -72.0), (10, -36.0), (60, -23.0), (10, -36.0), (10, -72.0)], -23.0),
    ([(20, -26.0), (20.1, -20.0), (20, -26.0)], -23.0),
])
def test_signals_of_the_ebu(parts: list[tuple[float, float]], expected: float) -> None:
    assert integrated_lufs(stereo(*parts), 48_000) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(48_000, 1, 7.3), (44_100, 2, 5.05), (16_000, 1, 4.0)])
def test_agrees_with_another_implementation(rate: int, channels: int, seconds: float) -> None:
    noise = RNG.standard_normal((channels, round(seconds * rate))) * 0.1
    noise *= np.exp(-np.arange(noise.shape[1]) / rate) + 0.002  # decays, so that the relative gate has work
    theirs = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(noise.T)
    assert integrated_lufs(noise, rate) == pytest.approx(theirs, abs=0.05)


def test_pieces_change_nothing() -> None:
    sound = RNG.standard_normal((2, 100_000)) * 0.1
    meter = Meter(48_000)
    for start, stop in ((0, 1), (1, 2), (2, 2), (2, 50_001), (50_001, 100_000)):
        meter.push(sound[:, start:stop])
    assert meter.lufs == pytest.approx(integrated_lufs(sound, 48_000), abs=1e-9)


def test_silence_and_very_short_sounds() -> None:
    assert integrated_lufs(np.zeros(48_000), 48_000) == -math.inf == integrated_lufs(np.zeros(0), 48_000)
    assert integrated_lufs(sine(997, 0.2, 0), 48_000) == pytest.approx(-3.01, abs=0.1)
    with pytest.raises(InvalidValue, match="100"):
        Meter(100)
    meter = Meter(48_000)
    meter.push(np.zeros((2, 10)))
    with pytest.raises(InvalidValue, match="shape"):
        meter.push(np.zeros(10))


@pytest.mark.parametrize(("frequency", "phase", "peak", "expected"), [  # EBU Tech 3341, signals 15, 16 and 19
    (12_000, 0.0, 0.5, -6.0), (12_000, math.pi / 4, 0.5, -6.0), (12_000, math.pi / 4, 1.41, 3.0),
])
def test_true_peak_finds_what_lies_between(frequency: float, phase: float, peak: float, expected: float) -> None:
    tone = peak * np.sin(2 * np.pi * frequency * np.arange(48_000) / 48_000 + phase)
    tone *= np.minimum(1, np.minimum(np.arange(48_000), np.arange(48_000)[::-1]) / 4800)
    assert -0.4 <= true_peak_db(tone, 48_000) - expected <= 0.2
    assert true_peak_db(np.zeros(100), 48_000) == -200
