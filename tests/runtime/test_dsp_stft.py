"""The transform: exact inverse, known scale and phase, and the same numbers as torch and librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from distill.dsp import fft, istft, stft
from distill.dsp.fft import irfft, quick_rfft, rfft
from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

SPECS = [SpectrogramSpec(), SpectrogramSpec(n_fft=1024, hop_length=256, n_mels=256),
         SpectrogramSpec(n_fft=1024, hop_length=128, n_mels=128)]
LENGTHS = [0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 7777, 40000]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("length", LENGTHS)
def test_inverse_gives_the_sound_back(spec: SpectrogramSpec, length: int) -> None:
    sound = noise(length)
    spectrum = stft(sound, spec)
    assert spectrum.dtype == np.complex64
    assert spectrum.shape == (spec.n_bins, spec.frames(length))
    back = istft(spectrum, spec, length=length)
    assert back.dtype == np.float32 and len(back) == length
    np.testing.assert_allclose(back, sound, atol=1e-5)


def test_length_cuts_pads_and_defaults() -> None:
    spec = SPECS[0]
    spectrum = stft(noise(1500), spec)
    whole = istft(spectrum, spec)
    assert len(whole) == spec.samples(spectrum.shape[1]) == 1536
    np.testing.assert_array_equal(istft(spectrum, spec, length=100), whole[:100])
    longer = istft(spectrum, spec, length=2000)
    np.testing.assert_array_equal(longer[:1536], whole)
    assert not longer[1536:].any()


def test_full_scale_sine_is_one_with_the_phase_of_the_frame_centre() -> None:
    spec = SPECS[0]
    k, angle = 100, 0.7
    t = np.arange(20 * spec.hop_length)
    sound = np.cos(2 * np.pi * k * t / spec.n_fft + angle)
    spectrum = stft(sound, spec)
    frame = 10  # its centre is sample 5120, a whole number of periods from sample 0
    assert abs(spectrum[k, frame]) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.angle(spectrum[k - 1 : k + 2, frame]), angle, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("samples", [5 * 1024, 20_480])
def test_agrees_with_torch_and_librosa(spec: SpectrogramSpec, samples: int) -> None:
    sound = noise(samples, seed=1)
    centring = (-1.0) ** np.arange(spec.n_bins)[:, None]
    ours = stft(sound, spec)
    plain = ours * centring * (spec.n_fft / 4)  # phase at the frame's first sample, and no scale

    window = torch.hann_window(spec.n_fft, periodic=True)
    theirs = torch.stft(torch.from_numpy(sound), spec.n_fft, spec.hop_length, window=window, center=True,
                        pad_mode="constant", return_complex=True)
    np.testing.assert_allclose(plain, theirs.numpy(), atol=1e-4 * spec.n_fft / 4)
    back = torch.istft(torch.from_numpy(plain.astype(np.complex64)), spec.n_fft, spec.hop_length, window=window,
                       center=True)
    np.testing.assert_allclose(istft(ours, spec), back.numpy(), atol=1e-4)

    theirs = librosa.stft(sound, n_fft=spec.n_fft, hop_length=spec.hop_length, window="hann", center=True,
                          pad_mode="constant")
    np.testing.assert_allclose(plain, theirs, atol=1e-4 * spec.n_fft / 4)


def test_inverse_of_a_spectrum_that_no_sound_has_agrees_with_torch() -> None:
    spec = SPECS[0]
    random = np.random.default_rng(2)
    spectrum = (random.normal(size=(spec.n_bins, 12)) + 1j * random.normal(size=(spec.n_bins, 12))) / 100
    plain = spectrum * (-1.0) ** np.arange(spec.n_bins)[:, None] * (spec.n_fft / 4)
    window = torch.hann_window(spec.n_fft, periodic=True)
    theirs = torch.istft(torch.from_numpy(plain.astype(np.complex64)), spec.n_fft, spec.hop_length, window=window)
    np.testing.assert_allclose(istft(spectrum, spec), theirs.numpy(), atol=1e-4)


def test_wrong_input_is_refused() -> None:
    spec = SPECS[0]
    with pytest.raises(InvalidValue, match=r"\(2, 100\).*one channel"):
        stft(np.zeros((2, 100)), spec)
    with pytest.raises(InvalidValue, match="int16"):
        stft(np.zeros(100, np.int16), spec)
    with pytest.raises(NumericError):
        stft(np.array([0.0, np.nan]), spec)
    with pytest.raises(InvalidValue, match=r"\(10, 10\).*\[1025, frames\]"):
        istft(np.zeros((10, 10), np.complex64), spec)
    with pytest.raises(NumericError):
        istft(np.full((1025, 3), np.inf, np.complex64), spec)
    with pytest.raises(InvalidValue, match="length is -1"):
        istft(np.zeros((1025, 3), np.complex64), spec, length=-1)


def test_the_quick_transform_is_the_exact_one_in_single_precision() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 2048)).astype(np.float32)
    exact, quick = np.empty((3, 1025), np.complex64), np.empty((3, 1025), np.complex64)
    rfft(rows, exact)
    quick_rfft(rows, quick)
    error = np.abs(quick * 2048 - exact).max() / np.abs(exact).max()
    assert 0 < error < 1e-6  # 0 would be double precision, which takes twice as long


@pytest.mark.parametrize("rows", [1, 2, 5, 64])
def test_transforms_are_those_of_numpys_functions(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which call what is not promised: without it they are called themselves. One row has the same bits as many."""
    sound = noise(64 * 512).reshape(64, 512)
    results = []
    for own in (fft._own, None):
        monkeypatch.setattr(fft, "_own", own)
        spectra, quick = np.empty((2, rows, 257), np.complex64)
        back = np.empty((rows, 512), np.float32)
        rfft(sound[:rows], spectra)
        quick_rfft(sound[:rows], quick)
        irfft(spectra, back)
        results.append((spectra, quick, back))
    for ours, numpys in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, numpys)
    np.testing.assert_array_equal(results[0][0], np.fft.rfft(sound)[:rows])
