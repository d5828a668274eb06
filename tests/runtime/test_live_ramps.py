"""Live control: what moves does so in even steps, and neither clicks nor zips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.live_sound import STILL, Echo, blended, latents, played, spectrogram

import distill
from distill.knobs import Knobs
from distill.live import Controls, Live
from distill.live.ramp import Ramp
from distill.live.sequence import LatentSequence
from distill.live.steering import Steering

STEPS = 4  # latent frames of the ramp: 60 ms at the 62.5 Hz of the tiny model


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.mark.parametrize("chunk", [1, 3])
def test_latents_follow_a_slider_in_even_steps(model: distill.Model, chunk: int) -> None:
    at = 21 // chunk
    made = latents(model, Knobs(**STILL, sliders={1: -10}), 60 // chunk, {at: "slider 1 10"}, chunk)
    apart = np.linalg.norm(made[:, -1] - made[:, 0])
    low, high = model.sliders.offset([-10, *[0] * 7]), model.sliders.offset([10, *[0] * 7])
    np.testing.assert_allclose(apart, np.linalg.norm(high - low), rtol=1e-4)
    step = np.linalg.norm(np.diff(made, axis=1), axis=0)
    assert np.flatnonzero(step).tolist() == [*range(at * chunk - 1, at * chunk - 1 + STEPS)]
    assert step.max() < 0.6 * apart  # a slider's scale has a knee at 0, so halves may differ


@pytest.mark.parametrize("knobs", [{}, {"mode": "crossfade", "segment": 4.0}])
def test_latents_go_over_to_another_seed_in_even_steps(model: distill.Model, knobs: dict[str, Any]) -> None:
    at = 21
    made = latents(model, Knobs(seed=3, **knobs), 60, {at: "seed 9"})
    old = latents(model, Knobs(seed=3, **knobs), 60, {})
    new = latents(model, Knobs(seed=9, **knobs), 60, {})
    if knobs:  # segments of the new path begin where those of the old one did
        there = new[:, at:]
    else:
        there = new[:, :60 - at]
    share = [float((made[:, at + t] - old[:, at + t]) @ (there[:, t] - old[:, at + t])
                   / np.square(there[:, t] - old[:, at + t]).sum()) for t in range(STEPS + 5)]
    np.testing.assert_allclose(share, np.minimum(np.arange(1, STEPS + 6) / STEPS, 1), atol=1e-5)


def test_a_slider_on_its_way_crosses_the_border_of_a_segment(model: distill.Model) -> None:
    """Two segments of one constant sound, a slider moved just before the second begins: no step, while both play."""
    def begun(knobs: Knobs) -> LatentSequence:
        return LatentSequence(model, [Echo(model)], model.source, model.source(knobs), knobs, 40)  # type: ignore[list-item]

    knobs = Knobs.of(**STILL)
    moved = Knobs.of(**STILL, sliders={"1": 8})
    first = begun(knobs)
    first.step(2, knobs)
    first.step(1, moved)
    second = begun(moved)
    second.go_on_from(first)
    assert np.array_equal(second.step(20, moved)[0], first.step(20, moved)[0])


@pytest.mark.parametrize("at", [1, 2])
def test_the_next_segment_goes_on_with_the_ramp(model: distill.Model, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """What sliders add is the same for both segments wherever they overlap."""
    knobs = Knobs(seed=3, mode="crossfade", segment=0.6, overlap=0.2)
    cut = model.cut(knobs)
    assert cut is not None
    added: list[np.ndarray] = []
    honest = LatentSequence._play
    monkeypatch.setattr(LatentSequence, "_play", lambda self, count: (
        added.append(self._positions.ahead(1)[0, 0]), honest(self, count))[1])
    frames = 2 * cut.stride * model.sidecar.latent.frames_per_latent
    spectrogram(Controls([model], knobs), model, frames, {cut.stride - at: "slider 1 8"})
    both = np.array(added[cut.stride:cut.stride + 2 * cut.overlap]).reshape(-1, 2)
    assert np.array_equal(both[:, 0], both[:, 1]) and both[0, 0] < both[-1, 0] == 8


def test_latents_wander_off_in_even_steps(model: distill.Model) -> None:
    at = 21
    made = latents(model, Knobs(seed=3, wander=0.2), 60, {at: "wander 1"})
    near, far = (latents(model, Knobs(seed=3, wander=wander), 60, {}) for wander in (0.2, 1.0))
    share = [float((made[:, t] - near[:, t]) @ (far[:, t] - near[:, t]) / np.square(far[:, t] - near[:, t]).sum())
             for t in range(at - 2, at + STEPS + 5)]
    np.testing.assert_allclose(share, [0, 0, *np.minimum(np.arange(1, STEPS + 6) / STEPS, 1)], atol=1e-4)


def test_weights_move_in_even_steps(model: distill.Model, tiny_copy: Path) -> None:
    """The power of the frames that are played goes from one model's to the other's, 20 dB below, in 8 frames."""
    voice = blended(model, tiny_copy, "latent").steered()
    controls = Controls(voice.models, Knobs(**STILL), (1.0, 0.0), voice.labels)
    stream = voice.spectrograms(Knobs(**STILL), None, 0, Steering(controls))
    frames = [next(stream) for _ in range(20)]
    controls.send('{"weight": {"other": 1, "tiny": 0}}')
    frames += [next(stream) for _ in range(20)]
    power = (10 ** (np.concatenate(frames, axis=2)[0].astype(np.float64) / 10)).sum(axis=0).reshape(-1, 2)
    share = ((power - power[-1]) / (power[10] - power[-1])).ravel()  # even and odd frames differ, in a sound that rests
    np.testing.assert_allclose(share[30:60], 1 - np.clip(np.arange(-9, 21) / 8, 0, 1), atol=0.01)


@pytest.mark.parametrize(("line", "knobs"), [
    ("slider 1 10", {**STILL, "sliders": {1: -10}}), ("slider 2 10", {**STILL, "sliders": {2: -10}}),
    ("seed 9", {"seed": 3}), ("wander 1", {"seed": 3, "wander": 0.0}),
])
def test_spectrograms_do_not_jump(model: distill.Model, line: str, knobs: dict[str, Any]) -> None:
    """In the first frame after the line the level has gone at most half of the way, in the mean over the bands; where
    there is no ramp it has gone all of it."""
    at, ratio = 21, model.sidecar.latent.frames_per_latent
    moved, plain = (spectrogram(Controls([model], Knobs(**knobs)), model, 120, lines) for lines in ({at: line}, {}))
    apart = np.abs(moved - plain)[0].mean(axis=0)
    first, there = apart[at * ratio], apart[(at + STEPS) * ratio:(at + STEPS + 4) * ratio].mean()
    assert 0 < first < 0.5 * there


def roughness(sound: np.ndarray) -> np.ndarray:
    """Largest second difference of samples in each block of 128: a click is one, a change of colour is not."""
    bend = np.abs(np.diff(sound, 2))
    return bend[:len(bend) // 128 * 128].reshape(-1, 128).max(axis=1)


def flux(sound: np.ndarray, spec: distill.SpectrogramSpec) -> np.ndarray:
    """Change of the spectrum from frame to frame."""
    magnitude = np.abs(distill.dsp.stft(sound, spec))  # type: ignore[attr-defined]
    return np.sqrt((np.diff(magnitude, axis=1) ** 2).sum(axis=0) / (magnitude ** 2).sum())


@pytest.mark.parametrize("lines", ["slider 1 10", "slider 2 -10", "slider 1 8\nslider 2 8\nslider 3 -8"])
def test_a_slider_moves_without_a_click(model: distill.Model, lines: str) -> None:
    sound = played(Live(model, **STILL, loudness="model"), 120, {60: lines})
    rough = roughness(sound)
    change = 60 * 4
    at_rest = max(rough[40:change].max(), rough[change + 60:].max())
    assert rough[change:change + 60].max() <= 1.3 * at_rest


def test_zipper_is_not_heard_while_a_slider_is_turned(model: distill.Model) -> None:
    """Sixty small steps, one each block: no rougher than either end."""
    lines = {60 + i: f"slider 1 {10 * i / 60}" for i in range(61)}
    rough = roughness(played(Live(model, **STILL, loudness="model"), 180, lines))
    assert rough[240:490].max() <= 1.3 * max(rough[40:240].max(), rough[520:].max())


def test_a_jump_in_the_middle_of_the_music_is_no_attack(model: distill.Model) -> None:
    lines = {60: "slider 1 6", 90: "wander 1", 120: "seed 77", 150: "slider 1 -6"}
    moved = flux(played(Live(model, seed=2), 240, lines), model.spec)
    calm = flux(played(Live(model, seed=2), 240, {}), model.spec)
    assert moved.max() <= 1.5 * calm.max()


@pytest.mark.parametrize("mode", ["spectral", "latent", "audio"])
def test_weights_move_without_a_click(model: distill.Model, tiny_copy: Path, mode: Any) -> None:
    live = Live(blended(model, tiny_copy, mode), **STILL, loudness="model")
    sound = played(live, 140, {60: "weight other 1\nweight tiny 0"})
    assert np.isfinite(sound).all() and np.sqrt(np.mean(sound[-20_000:] ** 2)) > 1e-3
    rough = roughness(sound)
    at_rest = max(rough[40:240].max(), rough[300:].max())
    assert rough[240:300].max() <= 1.3 * at_rest
    assert live.controls.now.weights == (0, 1)
    with pytest.raises(distill.InvalidValue, match="no model"):
        live.send("weight other 0")
    with pytest.raises(distill.InvalidValue, match="preset 'x' is for one model"):
        live.send("preset x")
    with pytest.raises(distill.InvalidValue, match="1: tiny, 2: other"):
        live.send("weight drums 1")
    live.send('{"weight": {"other": 0, "1": 0.7}}')
    assert live.controls.now.weights == (0.7, 0)
    live.send("weight other 1")
    live.send("weight 1 0.5")
    assert live.controls.now.weights == (0.5, 1)


def test_ramp_goes_straight_and_rests_exactly() -> None:
    ramp = Ramp([0.1, -2.0], 8)
    assert np.array_equal(ramp.take(3), [[0.1] * 3, [-2.0] * 3]) and ramp.at_rest
    ramp.go([0.3, 2.0])
    ahead = ramp.ahead(12)
    parts = np.concatenate([ramp.take(n) for n in (1, 4, 0, 7)], axis=1)
    assert np.array_equal(parts, ahead)
    np.testing.assert_allclose(parts[1], np.minimum(np.arange(1, 13) / 8, 1) * 4 - 2)
    assert np.array_equal(parts[:, -1], [0.3, 2.0]) and ramp.at_rest
    ramp.go([0.0, 0.0])
    ramp.take(3)
    ramp.go([1.0, 1.0])  # turned round on the way: goes on from where it is
    assert np.abs(np.diff(ramp.take(8)[0])).max() < 0.13
