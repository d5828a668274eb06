"""The loudness that an export writes down, on sounds whose loudness is known."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distill.loudness import SILENCE_LUFS, TARGET_LUFS
from distill.spec import SpectrogramSpec
from distill_export.level import measure_loudness, unmeasured

RATE = 16_000
SPEC = SpectrogramSpec(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=48)


def player(amplitude: float) -> Any:
    """What plays a sine of 1 kHz, whatever the seed, where a model is wanted."""
    def stream(seconds: float, *, seed: int, block: int, loudness: str) -> Iterator[np.ndarray]:
        assert loudness == "model"
        sound = (amplitude * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)
        for start in range(0, len(sound), block):
            yield sound[start:start + block]

    return SimpleNamespace(sample_rate=RATE, spec=SPEC, stream=stream,
                           sidecar=SimpleNamespace(loudness=unmeasured(-12.345)))


def test_a_sine_is_brought_to_the_target() -> None:
    quiet = np.stack([np.full((48, 20), SPEC.floor_db), np.zeros((48, 20))]).astype(np.float32)
    found = measure_loudness(player(0.1), [quiet])
    assert found.lufs == pytest.approx(-23.0, abs=0.05) and found.gain_db == pytest.approx(TARGET_LUFS - found.lufs)
    assert found.peak_db == -20.0 and found.true_peak_db == pytest.approx(-20.0, abs=0.1)
    assert found.rms_db == pytest.approx(-23.01, abs=0.01) and found.frame_limit_db in (-12.35, -12.34)
    assert found.corpus_rms_db < -100


def test_near_silence_is_not_blown_up() -> None:
    assert measure_loudness(player(2e-3), []).gain_db == pytest.approx(TARGET_LUFS + 57, abs=0.1)
    assert measure_loudness(player(5e-4), []).gain_db == 40.0
    silent = measure_loudness(player(0.0), [])
    assert silent.lufs == SILENCE_LUFS and silent.gain_db == 0.0
