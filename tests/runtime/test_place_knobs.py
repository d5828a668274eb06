"""Loudness, channels, width and headphones as knobs of the library."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import distill
from distill.limiter import CEILING_DB
from distill.loudness import TARGET_LUFS, integrated_lufs

CEILING = np.float32(10 ** (CEILING_DB / 20))


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


def db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64))))


def test_the_sidecar_says_how_loud(model: distill.Model) -> None:
    loudness = model.sidecar.loudness
    assert loudness.target_lufs == TARGET_LUFS == pytest.approx(loudness.lufs + loudness.gain_db, abs=0.011)
    assert loudness.peak_db <= loudness.true_peak_db < loudness.peak_db + 2
    sounds = [model.generate(30, seed=seed, loudness="model") for seed in range(4)]  # what the export measured
    assert integrated_lufs(np.concatenate(sounds), model.sample_rate) == pytest.approx(loudness.lufs, abs=0.5)


def test_equal_is_the_model_times_a_constant_and_never_clips(
        model: distill.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    own = model.generate(8, seed=4, loudness="model")
    wanted = 3 - 20 * np.log10(np.abs(own).max())  # 3 dB beyond full scale: the limiter has something to do
    monkeypatch.setattr(distill.Model, "gain_db", wanted)
    gain, equal = np.float32(10 ** (wanted / 20)), model.generate(8, seed=4)
    assert np.abs(equal).max() <= CEILING
    inside = slice(400, -400)  # apart from the fades
    untouched = equal[inside] == (own * gain)[inside]
    assert 0.5 < untouched.mean() < 1
    for seed in range(6):
        for place in ({}, {"channels": 2}, {"channels": 2, "binaural": True, "turn": 60.0}):
            assert np.abs(model.generate(3, seed=seed, quality="fast", **place)).max() <= CEILING


@pytest.mark.parametrize("quality", ["fast", "high"])
@pytest.mark.parametrize("wander", [0.0, 0.3])
def test_stereo(model: distill.Model, quality: str, wander: float) -> None:
    wishes = {"seconds": 6, "seed": 1, "quality": quality, "wander": wander, "loudness": "model"}
    mono, stereo = model.generate(**wishes), model.generate(**wishes, channels=2)  # type: ignore[arg-type]
    assert stereo.shape == (2, len(mono)) and stereo.dtype == np.float32
    assert -0.4 < np.corrcoef(stereo)[0, 1] < 0.6
    assert db(stereo) == pytest.approx(db(mono), abs=2) and abs(db(stereo[0]) - db(stereo[1])) < 5  # six notes
    assert db(stereo.mean(axis=0)) > db(stereo) - 3
    # the mono sum is the mono sound
    np.testing.assert_allclose(stereo.mean(axis=0) * np.hypot(1, 0.7), mono, atol=2e-6)
    flat = model.generate(**wishes, channels=2, width=0)  # type: ignore[arg-type]
    assert np.array_equal(flat[0], mono) and np.array_equal(flat[1], mono)


@pytest.mark.parametrize("place", [{"channels": 2}, {"channels": 2, "binaural": True},
                                   {"channels": 2, "binaural": True, "turn": -30.0, "width": 0.4}])
@pytest.mark.parametrize("block", [1, 333, 100_000])
def test_streams_equal_generate(model: distill.Model, place: dict[str, object], block: int) -> None:
    seconds = 0.03 if block == 1 else 2.0
    whole = model.generate(seconds, seed=1, quality="fast", **place)
    blocks = list(model.stream(seconds, seed=1, quality="fast", block=block, **place))
    assert {b.shape for b in blocks[:-1]} <= {(2, block)}
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)
    assert np.abs(whole[:, 0]).max() < 1e-3 > np.abs(whole[:, -1]).max()  # no click


def test_endless_stereo_begins_like_a_finite_one(model: distill.Model) -> None:
    finite = model.generate(3.0, seed=5, channels=2)
    endless = np.concatenate(list(itertools.islice(model.stream(seed=5, block=1000, channels=2), 32)), axis=1)
    assert np.array_equal(endless, finite[:, :32_000])


@pytest.mark.parametrize(("knobs", "named"), [
    ({"channels": 3}, "channels"), ({"channels": True}, "channels"), ({"channels": 2, "width": 2.5}, "width"),
    ({"width": 1.0}, "width"), ({"binaural": True}, "binaural"), ({"channels": 2, "binaural": 1}, "binaural"),
    ({"channels": 2, "azimuth": 0.0}, "azimuth"), ({"channels": 2, "turn": 5.0}, "turn"),
    ({"channels": 2, "binaural": True, "azimuth": 200.0}, "azimuth"), ({"loudness": "loud"}, "loudness"),
    ({"channels": 2, "binaural": True, "turn": float("nan")}, "turn"),
])
def test_what_has_no_meaning_is_refused(model: distill.Model, knobs: dict[str, object], named: str) -> None:
    with pytest.raises(distill.InvalidValue, match=named):
        model.stream(1.0, **knobs)  # type: ignore[arg-type]
