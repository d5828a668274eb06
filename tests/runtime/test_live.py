"""Live control: exact while nothing moves, soon and smooth when something does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.live_sound import played

import distill
from distill.blending import Blend, ModelSlot
from distill.knobs import Knobs
from distill.live import Controls, Live
from distill.live.ramp import Ramp
from distill.live.sequence import GRID, LatentSequence
from distill.live.steering import Steering

STILL: dict[str, Any] = {"mode": "vector", "evolution": 0.0, "seed": 1}  # a sound that does not change by itself


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def name(model: distill.Model) -> str:
    return model.sliders.names[0]


def spectrogram(controls: Controls, model: distill.Model, frames: int, at: dict[int, str]) -> np.ndarray:
    """Frames of the steered model; `at`: lines that are sent when so many pieces were taken."""
    pieces, taken = model.spectrograms(controls.now.knobs, frames, 0, Steering(controls)), []
    for index, piece in enumerate(pieces):
        taken.append(piece)
        if index + 1 in at:
            controls.send(at[index + 1])
    return np.concatenate(taken, axis=2)


def latents(model: distill.Model, knobs: Knobs, steps: int, at: dict[int, str], chunk: int = 1) -> np.ndarray:
    """Latents that are really decoded and played, [latent_dim, steps * chunk]; `at`: lines, by steps played before."""
    controls = Controls([model], knobs)
    stream = Steering(controls, chunk).spectrograms(model, [Echo(model)], knobs, None)  # type: ignore[list-item]
    played = []
    for index in range(steps):
        if index in at:
            controls.send(at[index])
        played.append(next(stream)[0][0])
    return np.concatenate(played, axis=1)[:, ::model.sidecar.latent.frames_per_latent]


class Echo:
    """A model whose spectrograms are its latents."""

    def __init__(self, model: distill.Model) -> None:
        self.sidecar = model.sidecar

    def decoded_part(self, latents: np.ndarray, start: int, stop: int) -> np.ndarray:
        return np.repeat(latents[None, :, start:stop], self.sidecar.latent.frames_per_latent, axis=2)


@pytest.mark.parametrize("chunk", [1, 3, 8])
@pytest.mark.parametrize("knobs", [
    {"seed": 2}, {"seed": 2, "wander": 0.8, "sliders": {1: 4, 2: -3}}, {"mode": "crossfade", "segment": 0.6},
    {"mode": "crossfade", "segment": 0.5, "overlap": 0.25, "density": 4}, {"mode": "interpolate"}, {"mode": "vector"},
    {"density": 4},
])
def test_untouched_it_is_the_model_in_small_chunks(model: distill.Model, knobs: dict[str, Any], chunk: int) -> None:
    wishes, controls = Knobs.of(**knobs), Controls([model], Knobs.of(**knobs))
    for frames in (300, 5):
        steered = list(model.spectrograms(controls.now.knobs, frames, 0, Steering(controls, chunk)))
        plain = model.decoded(model.latents(wishes, frames), chunk * -(-GRID // chunk), model.cut(wishes))
        assert max(piece.shape[2] for piece in steered) <= chunk * model.sidecar.latent.frames_per_latent
        assert np.array_equal(np.concatenate(steered, axis=2), np.concatenate(list(plain), axis=2))


@pytest.mark.parametrize("knobs", [{}, {"channels": 2}, {"channels": 2, "binaural": True}, {"quality": "fast"}])
def test_untouched_it_is_the_same_every_time(model: distill.Model, knobs: dict[str, Any]) -> None:
    whole = np.concatenate(list(Live(model, seed=3, **knobs).stream(1.5)), axis=-1)
    assert np.array_equal(np.concatenate(list(Live(model, seed=3, **knobs).stream(1.5, block=100)), axis=-1), whole)
    plain = model.generate(1.5, seed=3, **knobs)  # its stereo is balanced in longer steps
    assert np.square(whole - plain).sum() < (1e-2 if "channels" in knobs else 1e-8) * np.square(plain).sum()


@pytest.mark.parametrize(("line", "knobs"), [
    ("slider 1 8", {"seed": 1, "sliders": {1: 8}}), ("seed 2", {"seed": 2}),
    ("wander 0.9", {"seed": 1, "wander": 0.9})])
def test_a_stream_begins_where_the_controls_are(model: distill.Model, line: str, knobs: dict[str, Any]) -> None:
    moved = Live(model, seed=1)
    moved.send(line)
    assert np.array_equal(played(moved, 30, {}), played(Live(model, **knobs), 30, {}))


def test_said_again_it_changes_nothing(model: distill.Model, name: str) -> None:
    """Not a bit: nothing is decoded anew for a control that stays where it is."""
    knobs: dict[str, Any] = {"seed": 3, "sliders": {name: 2}, "wander": 0.5}
    lines = {20: f"slider {name} 2\nwander 0.5\nseed 3"}
    assert np.array_equal(played(Live(model, **knobs), 60, lines), played(Live(model, **knobs), 60, {}))


@pytest.mark.parametrize("at", [8, 10, 13])
def test_a_moved_slider_arrives_exactly(model: distill.Model, name: str, at: int) -> None:
    """When the ramp is over, the spectrogram is the one of a slider that stood there from the start."""
    moved = spectrogram(Controls([model], Knobs(seed=4)), model, 200, {at: f"slider {name} 6"})
    before = spectrogram(Controls([model], Knobs(seed=4)), model, 200, {})
    after = spectrogram(Controls([model], Knobs(seed=4, sliders={name: 6})), model, 200, {})
    ratio = model.sidecar.latent.frames_per_latent
    settled = ratio * (at + GRID + model._decoder.left + GRID)
    assert np.array_equal(moved[:, :, :ratio * at], before[:, :, :ratio * at])
    assert not np.allclose(moved[:, :, ratio * at], before[:, :, ratio * at])  # the very next frame
    assert np.array_equal(moved[:, :, settled:], after[:, :, settled:])


@pytest.mark.parametrize("line", ["slider 1 5", "wander 1", "seed 9"])
def test_what_was_changed_is_decoded_without_a_seam(model: distill.Model, line: str) -> None:
    """What is played behind a change is the decoding, in one piece, of the latents that were played."""
    at = 21  # in the middle of a chunk
    moved = latents(model, Knobs(seed=4), 60, {at: line})
    plain = latents(model, Knobs(seed=4), 60, {})
    assert np.array_equal(moved[:, :at], plain[:, :at]) and (moved[:, at] != plain[:, at]).any()
    ratio, decoder = model.sidecar.latent.frames_per_latent, model._decoder
    frames = spectrogram(Controls([model], Knobs(seed=4)), model, 60 * ratio, {at: line})
    whole = np.concatenate(list(model.decoded([moved])), axis=2)
    std = np.array(model.sidecar.normalization.std, np.float32).reshape(2, 1, 1)
    error = np.abs(frames - whole)[:, :, :ratio * (60 - decoder.right)] / std
    seen = slice(ratio * (at - decoder.right), ratio * at)  # played before the change, which they would have seen
    assert error[:, :, seen].max() > 1e-3
    error[:, :, seen] = 0
    assert error.max() < 1e-5


def blended(model: distill.Model, tiny_copy: Path, mode: Any) -> Blend:
    """Two models of one latent space, the second at other pitches and softer; all of the first."""
    path = tiny_copy / "decoder.onnx.json"
    facts = json.loads(path.read_text())
    facts["model"]["name"] = "other"
    facts["normalization"]["mean"][1] += 0.4
    facts["normalization"]["mean"][0] -= 20
    path.write_text(json.dumps(facts))
    return distill.blend([ModelSlot(model, 1), ModelSlot(distill.load(tiny_copy, device="cpu"), 0)], mode)


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize("line", ["slider 1 6", "wander 1", "seed 9", "weight other 1\nweight tiny 0"])
@pytest.mark.parametrize("mode", ["walk", "crossfade"])
def test_a_change_is_heard_within_a_block(
        model: distill.Model, tiny_copy: Path, line: str, quality: Any, mode: Any) -> None:
    """Counted in samples of sound, for every place in a latent frame: none differs before the line, the first that does
    comes within a block and a hop of it, and with the delay that the quality has, it can be heard (-40 dB)."""
    voice = blended(model, tiny_copy, "latent") if "weight" in line else model
    knobs: dict[str, Any] = {"seed": 4, "mode": mode, "quality": quality, "loudness": "model"}
    hop, block = model.spec.hop_length, 128
    bound = block + hop + distill.dsp.Synthesizer(model.spec, quality).latency_frames * hop  # type: ignore[attr-defined]
    reference = played(Live(voice, **knobs), 130, {}, block)
    for at in (60, 61, 62, 63, 67, 72):
        moved = played(Live(voice, **knobs), 130, {at: line}, block)
        first = int(np.flatnonzero(moved != reference)[0])
        assert at * block <= first <= at * block + block + hop
        here = slice(at * block, at * block + bound)
        assert np.abs(moved - reference)[here].max() > 0.01 * np.abs(reference)[here].max()


@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_stereo_and_the_limiter_add_little(model: distill.Model, quality: Any) -> None:
    """The limiter works on whole hops and looks 5 ms ahead; the side has a filter of 30 ms."""
    for knobs, extra in (({}, 0.02), ({"channels": 2}, 0.05)):
        reference = played(Live(model, seed=4, quality=quality, **knobs), 130, {}, 128)  # type: ignore[arg-type]
        for at in (60, 61):
            moved = played(Live(model, seed=4, quality=quality, **knobs), 130, {at: "slider 1 6"}, 128)  # type: ignore[arg-type]
            first = int(np.flatnonzero((moved != reference).reshape(-1, moved.shape[-1]).any(axis=0))[0])
            assert at * 128 <= first <= at * 128 + 256 + extra * model.sample_rate


STEPS = 4  # latent frames of the ramp: 60 ms at the 62.5 Hz of the tiny model


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


def test_a_blend_left_alone_is_the_blend(model: distill.Model) -> None:
    for mode in ("spectral", "latent", "audio"):
        blended = distill.blend([ModelSlot(model, 0.4), ModelSlot(model, 0.6)], mode)  # type: ignore[arg-type]
        sound = np.concatenate(list(Live(blended, seed=2).stream(1.0)))
        np.testing.assert_allclose(sound, blended.generate(1.0, seed=2), atol=2e-4)


def test_lanes_move_together(model: distill.Model) -> None:
    """At width 0 both channels are one; wide, the middle is still that of the mono sound, change and all."""
    lines = {20: "slider 1 6\nwander 0.9"}
    wide = played(Live(model, seed=5, channels=2, loudness="model"), 60, lines)
    mono = played(Live(model, seed=5, loudness="model"), 60, lines)
    middle = wide.sum(axis=0)
    scale = float(middle @ mono / (mono @ mono))
    np.testing.assert_allclose(middle[4000:9000], scale * mono[4000:9000], atol=1e-3)


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
