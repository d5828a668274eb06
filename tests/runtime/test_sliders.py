"""Sliders: scaled by the corpus, named after what they change, and true to their names in what is played."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, get_args

import numpy as np
import pytest

import distill
from distill.knobs import Knobs, Mode
from distill.sliders import Sliders, SliderValues

Run = Callable[..., "CompletedProcess[str]"]

BAD = [({"brightness": 10.1}, "brightness is 10.1"), ({"brightness": -11}, "from -10 to 10"),
       ({"brightness": float("nan")}, "nan"), ({"brightness": "3"}, "'3'"), ({"brightness": True}, "True"),
       ({"brightness": None}, "None"), ({"brightness": 10 ** 400}, "from -10 to 10"), ({"": 1}, "a name"),
       ({0: 1}, "from 1"), ({True: 1}, "True"), ({1: 1, "1": 2}, "twice"), ({"A": 1, "a ": 2}, "twice"),
       (3, "sliders is 3"), ("brightness", "must map names")]


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def sliders(model: distill.Model) -> Sliders:
    return model.sliders


def centroid(audio: np.ndarray) -> float:
    """Octaves: log2 of the magnitude-weighted mean frequency, in cycles per sample."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, 1024)[::256] * np.hanning(1024)
    magnitude = np.abs(np.fft.rfft(frames)).sum(axis=0)
    return float(np.log2(magnitude @ np.fft.rfftfreq(1024) / magnitude.sum()))


def crossings(audio: np.ndarray) -> float:
    return float(np.log2(np.mean(np.signbit(audio[1:]) != np.signbit(audio[:-1]))))


def level(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64))))


def test_a_slider_called_brightness_makes_it_brighter(model: distill.Model) -> None:
    """And so for every other name: what is heard follows the slider, on both sides of the middle."""
    measures = {"centroid": centroid, "rms": level, "zero_crossings": crossings}
    named = [c for c in model.sidecar.controls if c.descriptor in measures]
    assert {"centroid", "rms"} <= {c.descriptor for c in named}
    for control in named:
        heard = [[measures[control.descriptor](model.generate(4.0, seed=seed, sliders={control.name: value},
                                                              quality="fast"))
                  for value in (-6, 0, 6)] for seed in (11, 12, 13)]
        low, middle, high = np.mean(heard, axis=0)
        assert low < middle < high, (control.label, heard)
        # The export's own trial lets one walk differ; what a slider of little variance does drowns in some.
        assert sum(row[0] >= row[2] for row in heard) <= 1, (control.label, heard)


def test_ten_is_the_far_end_of_the_corpus(model: distill.Model, sliders: Sliders) -> None:
    """Computed from the stored recordings, not from the sidecar's own percentiles."""
    assert model.prior is not None
    latent = model.sidecar.latent
    corpus = model.prior.latents.astype(np.float64) - np.array(latent.mean)[:, None]
    for i, control in enumerate(model.sidecar.controls):
        axis = control.sign * np.array(latent.pca.components[control.component])
        low, middle, high = np.percentile(axis @ corpus, (1, 50, 99))
        for value, wanted in ((-10, low - middle), (-5, (low - middle) / 2), (0, 0), (5, (high - middle) / 2),
                              (10, high - middle)):
            values = np.zeros(len(sliders.names))
            values[i] = value
            offset = sliders.offset(values)
            assert offset.shape == (model.latent_dim, 1) and offset.dtype == np.float32
            assert axis @ offset[:, 0] == pytest.approx(wanted, abs=0.02)  # the prior is stored in 16 bits
            np.testing.assert_allclose(offset[:, 0], axis * (axis @ offset[:, 0]), atol=1e-5)


def test_offsets_add_up_and_take_a_value_a_frame(sliders: Sliders) -> None:
    values = np.random.default_rng(0).uniform(-10, 10, (len(sliders.names), 7))
    together = sliders.offset(values)
    for frame in range(7):
        alone = sum(sliders.offset(values[:, frame] * (np.arange(len(values)) == i)) for i in range(len(values)))
        np.testing.assert_allclose(together[:, frame:frame + 1], alone, atol=1e-5)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_every_mode_is_moved_by_the_same_offset(model: distill.Model, sliders: Sliders, mode: Any) -> None:
    wishes = {"1": 4.0, sliders.names[1]: -7.0}
    still, moved = (np.concatenate(list(model.latents(Knobs(seed=2, mode=mode, sliders=w), 400)), axis=1)
                    for w in ({}, wishes))
    offset = sliders.offset(sliders.values(wishes))
    assert np.abs(offset).max() > 0.5
    np.testing.assert_allclose(moved - still, np.broadcast_to(offset, still.shape), atol=1e-5)


def test_in_the_middle_nothing_changes(model: distill.Model, sliders: Sliders) -> None:
    still = model.generate(1.0, seed=4)
    assert np.array_equal(still, model.generate(1.0, seed=4, sliders=dict.fromkeys(sliders.names, 0)))
    assert np.array_equal(still, model.generate(1.0, seed=4, sliders={}))
    assert not np.array_equal(still, model.generate(1.0, seed=4, sliders={1: 0.5}))


@pytest.mark.parametrize("block", [333, 5000])
def test_stream_equals_generate(model: distill.Model, block: int) -> None:
    knobs = {"seed": 1, "sliders": {1: 3, 2: -2}, "channels": 2}
    whole = model.generate(2.5, **knobs)
    assert np.array_equal(np.concatenate(list(model.stream(2.5, block=block, **knobs)), axis=-1), whole)


def test_a_slider_has_a_name_a_number_and_an_axis(sliders: Sliders) -> None:
    for i, name in enumerate(sliders.names):
        assert sliders.index(name) == sliders.index(name.upper()) == sliders.index(str(i + 1)) == i
        assert sliders.index(f"pc{i + 1}") == i
    assert sliders.values({}).tolist() == [0] * len(sliders.names)
    assert sliders.values({"2": 3}).tolist()[:2] == [0, 3]
    assert sliders.named({"2": 3, sliders.names[0].upper(): 1}) == {sliders.names[1]: 3, sliders.names[0]: 1}


@pytest.mark.parametrize("key", ["9", "0x1", "brightnes", "pc9", "-1", "1.0", "²"])
def test_an_unknown_slider_is_answered_with_those_there_are(model: distill.Model, key: str) -> None:
    assert 2 <= len(model.sliders.names) <= 8 and "brightness" in model.sliders.names
    with pytest.raises(distill.InvalidValue) as caught:
        model.stream(1.0, sliders={key: 1})  # at once, before any sound is asked for
    message = str(caught.value)
    assert repr(key) in message and all(name in message for name in model.sliders.names)
    assert ("did you mean brightness?" in message) == (key == "brightnes")


def test_one_slider_under_two_names_is_refused(model: distill.Model) -> None:
    with pytest.raises(distill.InvalidValue, match="set twice, as 1 and as pc1"):
        model.generate(0.1, sliders={"pc1": 1, 1: 2})


@pytest.mark.parametrize(("wishes", "word"), BAD)
def test_what_no_slider_can_take(wishes: Any, word: str) -> None:
    with pytest.raises(distill.InvalidValue) as caught:
        Knobs.of(sliders=wishes)
    assert word in str(caught.value)


def test_values_are_frozen_hashable_and_json() -> None:
    knobs = Knobs.of(sliders={"Brightness": 2, 3: np.float32(-0.0)})
    other = Knobs.of(sliders={"3": 0.0, "brightness ": np.int64(2)})
    assert knobs == other and hash(knobs) == hash(other) and len({knobs, other}) == 1
    assert json.loads(json.dumps(knobs.sliders)) == {"3": 0.0, "brightness": 2.0}
    assert pickle.loads(pickle.dumps(knobs)) == knobs
    for change in (lambda v: v.update(x=1), lambda v: v.__setitem__("x", 1), lambda v: v.pop("3"), lambda v: v.clear(),
                   lambda v: v.__ior__({"x": 1}), lambda v: v.__delitem__("3"), lambda v: v.setdefault("x", 1)):
        with pytest.raises(TypeError, match="cannot be changed"):
            change(knobs.sliders)
    assert knobs == other


def test_random_positions_follow_the_seed(sliders: Sliders) -> None:
    first = sliders.drawn(1)
    assert first == sliders.drawn(1) != sliders.drawn(2) and set(first) == set(sliders.names)
    held = sliders.drawn(1, {"1": 10})
    assert held == {**first, sliders.names[0]: 10}
    all_drawn = np.array([list(sliders.drawn(seed).values()) for seed in range(200)])
    assert np.abs(all_drawn).max() <= 10 and 2.5 < all_drawn.std() < 3.5 and abs(all_drawn.mean()) < 0.3
    assert np.array_equal(np.round(all_drawn, 1), all_drawn)  # what is told can be typed again


def test_a_model_without_sliders_says_so(model: distill.Model) -> None:
    from msgspec.structs import replace

    bare = Sliders(replace(model.sidecar, controls=[]))
    assert np.array_equal(bare.offset(bare.values({})), np.zeros((model.latent_dim, 1)))
    for call in (lambda: bare.values({"brightness": 1}), lambda: bare.drawn(1)):
        with pytest.raises(distill.InvalidValue, match="none|no sliders"):
            call()


def test_values_without_a_model_keep_what_they_were_told() -> None:
    assert SliderValues({"b": 1, "a": 2}) == {"a": 2.0, "b": 1.0} and list(SliderValues({"b": 1, "a": 2})) == ["a", "b"]


@pytest.mark.parametrize(("options", "words"), [
    (("--slider", "brightness"), ("NAME=VALUE",)), (("--slider", "=3"), ("NAME=VALUE",)),
    (("--slider", "brightness=high"), ("'high'", "-10 to 10")),
    (("--slider", "brightness=10.5"), ("10.5", "-10 to 10")),
    (("--slider", "brightness=nan"), ("nan",)), (("--slider", "brightnes=1"), ("did you mean brightness?", "1: ")),
    (("--slider", "1=1", "--slider", "1=2"), ("twice",)), (("--slider", "1=1", "--slider", "pc1=2"), ("twice",)),
])
def test_what_the_command_line_refuses(here: Run, tiny: Path, tmp_path: Path, options: tuple[str, ...],
                                       words: tuple[str, ...]) -> None:
    result = here("generate", tiny, "-o", tmp_path / "a.wav", *options)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
    assert all(word in result.stderr for word in words), result.stderr


def test_randomized_positions_are_told_and_can_be_typed(here: Run, tiny: Path, tmp_path: Path,
                                                         sliders: Sliders) -> None:
    first, second = sliders.names[:2]
    made = here("generate", tiny, "-o", tmp_path / "a.wav", "--seconds", 0.5, "--seed", 4, "--randomize", "--slider",
                f"{first}=9.5", "--count", 2, "--json")
    files = json.loads(made.stdout)["files"]
    assert [f["sliders"][first] for f in files] == [9.5, 9.5]
    assert files[0]["sliders"] != files[1]["sliders"] and set(files[0]["sliders"]) == set(sliders.names)
    told = [line.split()[1:] for line in made.stderr.splitlines() if line.startswith("sliders ")]
    assert len(told) == 2
    typed = [word for pair in told[1] for word in ("--slider", pair)]
    assert here("generate", tiny, "-o", tmp_path / "b.wav", "--seconds", 0.5, "--seed", 5, *typed).returncode == 0
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a-2.wav").read_bytes()
