"""Sound to spectrogram: levels in dB, frequencies in bins, the axis, silence, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from distill.dsp import analyze, stft
from distill.dsp.axis import axis, band_centres
from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

SPEC = SpectrogramSpec()
SPECS = [SPEC, SpectrogramSpec(n_mels=256), SpectrogramSpec(n_fft=1024, hop_length=256, n_mels=256),
         SpectrogramSpec(n_fft=256, hop_length=32, n_mels=16), SpectrogramSpec(n_fft=512, hop_length=128, n_mels=257)]


def sine(bin_: float, frames: int = 40, level: float = 1.0, spec: SpectrogramSpec = SPEC) -> np.ndarray:
    return level * np.sin(2 * np.pi * bin_ * np.arange(frames * spec.hop_length) / spec.n_fft)


@pytest.mark.parametrize("spec", SPECS)
def test_axis_is_linear_then_logarithmic_and_covers_everything(spec: SpectrogramSpec) -> None:
    table = axis(spec)
    assert axis(spec) is table
    spacing = np.diff(table.centres)
    assert table.centres[0] == 0 and table.centres[-1] == spec.n_bins - 1
    assert (spacing > 0.99).all() and (np.diff(spacing)[table.linear + 1 :] > -1e-9).all()
    np.testing.assert_array_equal(table.centres[: table.linear + 1], np.arange(table.linear + 1))
    np.testing.assert_allclose(table.filterbank.sum(axis=1), 1, atol=1e-6)
    assert (table.filterbank.sum(axis=0) > 0).all(), "every bin is heard by some band"


@pytest.mark.parametrize("spec", SPECS)
def test_bands_are_triangles_between_their_neighbours(spec: SpectrogramSpec) -> None:
    centres, bins = axis(spec).centres, np.arange(spec.n_bins)
    spacing = np.maximum(1, np.diff(centres))
    reach = np.concatenate([spacing[:1], spacing, spacing[-1:]])  # to the left of each band, and right of the last
    expected = np.array([np.interp(bins, [c - left, c, c + right], [0, 1, 0])
                         for c, left, right in zip(centres, reach[:-1], reach[1:], strict=True)])
    np.testing.assert_allclose(axis(spec).filterbank, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_sliced_product_is_the_plain_one(spec: SpectrogramSpec) -> None:
    power = np.random.default_rng(0).uniform(size=(7, spec.n_bins)).astype(np.float32)
    np.testing.assert_allclose(axis(spec).to_bands(power), power @ axis(spec).filterbank.T, rtol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_interpolation_is_that_of_numpy(spec: SpectrogramSpec) -> None:
    levels = np.random.default_rng(0).uniform(-10, 0, size=(5, spec.n_mels)).astype(np.float32)
    expected = [np.interp(np.arange(spec.n_bins), axis(spec).centres, row) for row in levels]
    np.testing.assert_allclose(axis(spec).to_bins(levels), expected, atol=1e-4)


def test_known_centres() -> None:
    assert [band_centres(n, 1025)[1] for n in (256, 384, 512)] == [68, 122, 190]


def test_full_scale_sine_on_a_centre_is_zero_db() -> None:
    spectrogram = analyze(sine(50), SPEC)
    assert spectrogram.dtype == np.float32 and spectrogram.shape == (2, 384, 41)
    np.testing.assert_allclose(spectrogram[0, 50, 5:35], 0, atol=0.01)
    assert analyze(sine(50, level=1e-3), SPEC)[0, 50, 20] == pytest.approx(-60, abs=0.01)


@pytest.mark.parametrize("frequency", [50.0, 50.4, 80.7, 300.3, 700.0])
@pytest.mark.parametrize("level", [0.7, 1e-3])
def test_channel_one_is_the_frequency(frequency: float, level: float) -> None:
    table = axis(SPEC)
    spectrogram = analyze(sine(frequency, level=level), SPEC)
    band = int(np.argmax(spectrogram[0, :, 20]))
    found = table.centres[band] + table.scale[band] * spectrogram[1, band, 20]
    assert found == pytest.approx(frequency, abs=0.02)


def test_deviation_is_bounded_and_zero_where_nothing_is_known() -> None:
    sound = np.random.default_rng(0).normal(size=30_000) * 0.3
    spectrogram = analyze(sound, SPEC)
    assert np.abs(spectrogram[1]).max() <= 1.5
    assert np.abs(spectrogram[1, :, 0]).max() < 1e-3
    assert np.abs(analyze(sound * 1e-7, SPEC)[1]).max() < 0.2


@pytest.mark.parametrize("spec", SPECS)
def test_silence_is_the_floor(spec: SpectrogramSpec) -> None:
    spectrogram = analyze(np.zeros(5000), spec)
    assert (spectrogram[0] == spec.floor_db).all() and not spectrogram[1].any()


def test_floor_is_absolute_and_level_only_shifts() -> None:
    sound = np.random.default_rng(0).normal(size=20_000) * 0.1
    loud, quiet = analyze(sound, SPEC), analyze(sound * 0.01, SPEC)
    heard = quiet[0] > -110
    assert heard.mean() > 0.99
    np.testing.assert_allclose((loud[0] - quiet[0])[heard], 40, atol=0.01)
    np.testing.assert_allclose(loud[1][heard], quiet[1][heard], atol=0.01)
    assert analyze(sound * 1e-9, SPEC)[0].min() >= SPEC.floor_db


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 40_000])
def test_frames(samples: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, samples)
    assert analyze(sound, SPEC).shape == (2, 384, SPEC.frames(samples))


def test_agrees_with_the_plain_formula() -> None:
    spec = SpectrogramSpec(n_mels=256)
    sound = np.random.default_rng(3).normal(size=50_000) * 0.2  # longer than one block of frames
    spectrum = stft(sound, spec).astype(np.complex128)
    table = axis(spec)
    power = table.filterbank @ np.abs(spectrum) ** 2
    spectrogram = analyze(sound, spec)
    np.testing.assert_allclose(spectrogram[0], 10 * np.log10(power), atol=1e-3)

    bins = np.arange(spec.n_bins)[:, None]
    cross = spectrum[:, 1:] * spectrum[:, :-1].conj() * np.exp(-2j * np.pi * bins * spec.hop_length / spec.n_fft)
    frequency = bins + np.angle(cross) * spec.n_fft / (2 * np.pi * spec.hop_length)
    weight = np.abs(cross)
    mean = (table.filterbank @ (weight * frequency)) / (table.filterbank @ weight)
    expected = np.clip((mean - table.centres[:, None]) / table.scale[:, None], -1.5, 1.5)
    # an angle of almost half a turn may come out on either side: a handful of single bins
    assert (np.abs(spectrogram[1, :, 1:] - expected) > 1e-3).mean() < 1e-3


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"\(1, 100\)"):
        analyze(np.zeros((1, 100)), SPEC)
    with pytest.raises(InvalidValue, match="floating point"):
        analyze(np.zeros(100, np.int32), SPEC)
    for bad in (np.nan, np.inf):
        sound = np.zeros(100)
        sound[3] = bad
        with pytest.raises(NumericError):
            analyze(sound, SPEC)
