"""Live control: exact while nothing moves, soon when something does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.live_sound import blended, latents, played, spectrogram

import distill
from distill.blending import ModelSlot
from distill.knobs import Knobs
from distill.live import Controls, Live
from distill.live.sequence import GRID
from distill.live.steering import Steering


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def name(model: distill.Model) -> str:
    return model.sliders.names[0]


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
    middle, mono = middle[4000:9000], mono[4000:9000]
    np.testing.assert_allclose(middle, float(middle @ mono / (mono @ mono)) * mono, atol=1e-3)
