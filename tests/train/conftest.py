"""Small recordings and a small spec, so that a run takes a second."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does: before torch is loaded

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec
from distill_train.options import Options

RATE = 16_000


def note(frequency_hz: float, seconds: float = 0.8, rate: int = RATE) -> NDArray[np.float32]:
    """A decaying tone with some partials, as a bell might be."""
    t = np.arange(round(seconds * rate)) / rate
    partials = sum(np.sin(2 * np.pi * frequency_hz * k * t) * np.exp(-4 * k * t) / k for k in (1, 2, 3))
    return (0.3 * partials).astype(np.float32)


@pytest.fixture
def spec() -> SpectrogramSpec:
    return SpectrogramSpec(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=64, floor_db=-100.0)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six recordings of .8 s."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for index in range(6):
        soundfile.write(folder / f"note{index}.wav", note(220 * 1.3**index), RATE)
    return folder


@pytest.fixture
def small(tmp_path: Path, corpus: Path) -> Callable[..., Options]:
    """Options for a small run on the corpus; keywords change them."""

    def make(**changes: object) -> Options:
        values: dict[str, object] = {
            "corpus": corpus, "run": tmp_path / "run", "sample_rate": RATE, "n_fft": 512, "n_mels": 64,
            "floor_db": -100.0, "size": "small", "device": "cpu", "pitch_copies": 2,
        }
        return Options(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def small_flags() -> list[str]:
    """The same for the command line."""
    return ["--sample-rate", str(RATE), "--n-fft", "512", "--n-mels", "64", "--size", "small", "--device", "cpu",
            "--pitch-copies", "2"]
