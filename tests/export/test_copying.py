"""How near generated sound is to the recordings, on sounds whose nearness is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import distill
import distill_export.copying as copying
from distill.spec import SpectrogramSpec
from distill_export.copying import MOMENTS, distances, measure_copying, mel_bank, moments, patches

RATE = 16_000
SPEC = SpectrogramSpec(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=64)


def chirps(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Tones of changing pitch, other ones for each seed."""
    rng = np.random.default_rng(seed)
    pitch = np.repeat(rng.uniform(200, 4000, 30), round(seconds * RATE / 30))
    return (0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)).astype(np.float32)


def player(*sounds: np.ndarray) -> Any:
    """What plays these sounds, one a seed, where a model is wanted."""
    def generate(seconds: float, *, seed: int, loudness: str) -> np.ndarray:
        assert loudness == "model"
        return sounds[seed % len(sounds)]

    return SimpleNamespace(spec=SPEC, generate=generate)


def recording(seed: int, held_out: bool = False) -> tuple[bool, np.ndarray]:
    return held_out, distill.analyze(chirps(seed), SPEC)


CORPUS = [recording(0), recording(1), recording(2), recording(3, held_out=True)]


def test_a_copy_lies_at_zero_and_what_is_new_as_far_as_held_out_recordings() -> None:
    copied = measure_copying(player(chirps(0), chirps(2)), CORPUS)
    assert copied.generated.median_db < 0.5 and copied.held_out is not None
    assert copied.held_out.median_db > 5 and copied.ratio is not None and copied.ratio < 0.1
    new = measure_copying(player(chirps(7), chirps(8)), CORPUS)
    assert new.ratio == pytest.approx(1.0, abs=0.25) and new.held_out == copied.held_out
    assert new.generated.p10_db < new.generated.median_db


def test_copies_of_held_out_recordings_are_copies_too() -> None:
    assert measure_copying(player(chirps(3)), CORPUS).generated.median_db < 0.5


def test_a_copy_is_found_wherever_it_lies() -> None:
    """Shifted by whole moments, the same patches come; between them, patches that begin as late."""
    moment = 128 * round(0.043 * RATE / 128)
    for moments_later in (13.0, 13.5):
        start = round(moments_later * moment) // 128 * 128  # whole frames, as latents are
        assert measure_copying(player(chirps(1)[start:]), CORPUS).generated.median_db < 1, moments_later


def test_without_held_out_recordings_there_is_nothing_to_compare_with() -> None:
    found = measure_copying(player(chirps(7)), CORPUS[:3])
    assert found.held_out is None and found.ratio is None and found.generated.median_db > 5


def test_silence_does_not_count() -> None:
    """Tails are alike everywhere; with them, everything would look like a copy."""
    pause = np.zeros(3 * RATE, np.float32)
    corpus = [(out, np.concatenate([part, distill.analyze(pause, SPEC)], axis=2)) for out, part in CORPUS]
    found = measure_copying(player(np.concatenate([pause, chirps(7), pause])), corpus)
    plain = measure_copying(player(chirps(7)), CORPUS)
    assert found.generated.median_db == pytest.approx(plain.generated.median_db, rel=0.2)
    silent = measure_copying(player(pause), CORPUS)  # a model that makes nothing is still measured
    assert np.isfinite(silent.generated.median_db)


def test_the_same_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the obvious way: all pairs of patches."""
    bank = mel_bank(SPEC)
    levels = [moments(part[0], bank, SPEC) for _, part in CORPUS]
    floor = max(float(part.max()) for part in levels) - 60
    asked = patches(levels[3], floor)
    known = np.concatenate([patches(part, floor) for part in levels[:3]])
    expected = [np.sqrt(np.square(known - one).mean(axis=1)).min() for one in asked]
    for rows in (8192, 16, 5):
        monkeypatch.setattr(copying, "_ROWS", rows)
        np.testing.assert_allclose(distances(asked, levels[:3], floor), expected, atol=0.02)


def test_long_recordings_are_searched_at_every_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MOST", 100)
    levels = [np.zeros((150, 64), np.float32)]
    levels[0][::2] = 30
    found = distances(patches(levels[0][:MOMENTS + 1], 0.0), levels, 0.0)
    np.testing.assert_allclose(found, [0, 30])  # the second begins at an odd place, where nobody looks


def test_bands_that_are_narrower_than_a_bin_have_one() -> None:
    bank = mel_bank(SPEC)
    assert bank.shape == (64, 64) and (bank >= 0).all()
    np.testing.assert_allclose(bank.sum(axis=1), 1, rtol=1e-5)
    tone = distill.analyze((0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.float32), SPEC)
    edges = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 40 / 700), 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    assert abs(edges[1:-1][moments(tone[0], bank, SPEC)[5].argmax()] - 1000) < 60
