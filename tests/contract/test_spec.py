"""SpectrogramSpec refuses what the transforms could not honour, and names the field."""

from __future__ import annotations

import dataclasses
import math

import pytest

from distill import InvalidValue, SpectrogramSpec


@pytest.mark.parametrize(("field", "value"), [
    ("sample_rate", 0), ("sample_rate", 48000.0), ("sample_rate", True), ("n_fft", 1000), ("n_fft", 64),
    ("n_fft", -2048), ("hop_length", 500), ("hop_length", 1024), ("hop_length", 0), ("n_mels", 0), ("n_mels", 5000),
    ("n_mels", "256"), ("floor_db", 0.0), ("floor_db", math.nan), ("floor_db", -math.inf),
])
def test_bad_fields_are_named(field: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=field):
        SpectrogramSpec(**{field: value})  # type: ignore[arg-type]


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SpectrogramSpec().n_fft = 4096  # type: ignore[misc]


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 2), (511, 2), (512, 2), (513, 3), (48_000, 95)])
def test_frames_cover_all_samples(samples: int, frames: int) -> None:
    spec = SpectrogramSpec()
    assert spec.frames(samples) == frames
    assert spec.samples(frames) >= samples
