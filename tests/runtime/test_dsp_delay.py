"""Where an attack stands: the group delay that is read off the levels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import distill
from distill.dsp.axis import axis
from distill.dsp.delay import slopes
from distill.dsp.start import nepers
from distill.spec import SpectrogramSpec

SPECS = [SpectrogramSpec(n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)
         for n_fft, hop_length, n_mels in ((2048, 512, 384), (1024, 256, 256), (2048, 256, 384))]
with_specs = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.n_fft}/{spec.hop_length}")


def burst(at: int, samples: int = 20_000) -> NDArray[np.float32]:
    """Noise that begins at sample `at` and is gone two milliseconds later."""
    result = np.zeros(samples, np.float32)
    time = np.arange(samples - at)
    result[at:] = 0.3 * np.random.default_rng(at).normal(size=len(time)) * np.exp(-time / 60)
    return result


def centre_and_spread(sound: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the place of its energy, samples."""
    energy = np.square(sound, dtype=np.float64)
    energy /= energy.sum()
    place = np.arange(len(sound))
    centre = float((energy * place).sum())
    return centre, float(np.sqrt((energy * (place - centre) ** 2).sum()))


@with_specs
@pytest.mark.parametrize("at", [0, 300, 700, 4000, 4300, 5000])
@pytest.mark.parametrize(("quality", "widest"), [("fast", 2.5), ("balanced", 2.0), ("high", 1.6)])
def test_a_stroke_stands_where_it_stood(at: int, quality: str, widest: float, spec: SpectrogramSpec) -> None:
    sound = burst(at)
    result = distill.synthesize(distill.analyze(sound, spec), spec, quality, len(sound))
    (centre, spread), (wanted, original) = centre_and_spread(result), centre_and_spread(sound)
    assert abs(centre - wanted) < 15  # a third of a millisecond
    assert spread < widest * original
    assert np.abs(result).max() < 1.3 * np.abs(sound).max()


@with_specs
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_slope_of_a_click_is_its_place(share: float, spec: SpectrogramSpec) -> None:
    """A click in the first frame's second half, `share` hops after its centre: its phase falls by that much a bin."""
    sound = np.zeros(8 * spec.n_fft, np.float32)
    place = round(share * spec.hop_length)
    sound[place] = 0.5
    levels = nepers(np.ascontiguousarray(distill.analyze(sound, spec)[0].T), spec.floor_db)
    found = slopes(levels[:3], axis(spec).to_bins(levels[:3]), 0, 2, np.array([0]), spec)
    np.testing.assert_allclose(found[0], -place / spec.n_fft, atol=2e-3)


@with_specs
def test_slopes_do_not_depend_on_how_frames_are_grouped(spec: SpectrogramSpec) -> None:
    levels = np.random.default_rng(0).normal(size=(9, spec.n_mels)).astype(np.float32)
    bins = axis(spec).to_bins(levels)
    whole = slopes(levels, bins, 0, 9, np.array([0, 3, 8]), spec)
    np.testing.assert_array_equal(slopes(levels[:5], bins[:5], 0, 4, np.array([0, 3]), spec), whole[:4])
    np.testing.assert_array_equal(slopes(levels[3:], bins[3:], 1, 5, np.array([4]), spec), whole[4:])


@pytest.mark.parametrize("quality", ["fast", "balanced", "high"])
def test_noise_does_not_buzz_at_the_rate_of_the_frames(quality: str) -> None:
    """Its power is much the same wherever one looks between two frames; with one slope for many bins, 5 dB apart."""
    spec = SPECS[0]
    noise = 0.1 * np.random.default_rng(3).normal(size=400 * spec.hop_length).astype(np.float32)
    result = distill.synthesize(distill.analyze(noise, spec), spec, quality, len(noise))
    parts = np.square(result).reshape(-1, 8, spec.hop_length // 8).mean(axis=(0, 2))
    level = 10 * np.log10(parts)
    assert level.max() - level.min() < 2.5


@with_specs
def test_rounding_near_the_floor_moves_no_slope(spec: SpectrogramSpec) -> None:
    """There a level is the logarithm of a small difference: a hundred-thousandth of a dB may be all of it."""
    random = np.random.default_rng(0)
    above = 10 ** random.uniform(-6, 0, size=(9, spec.n_mels))  # dB
    found = []
    for error in (0, 1e-5):
        levels = nepers((spec.floor_db + above + error * random.normal(size=above.shape)).astype(np.float32),
                        spec.floor_db)
        found.append(slopes(levels, axis(spec).to_bins(levels), 0, 9, np.array([0, 4]), spec))
    assert np.abs(found[1] - found[0]).max() < 2e-3
