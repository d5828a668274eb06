"""Blends: a model alone is itself, a mixture lies between, streams equal files, and wrong asks say what would work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill.blending import ModelSlot, Weights
from distill.blending.audio import mixed_sounds
from distill.blending.fit import on_floor
from distill.blending.mix import frame_level, morph
from distill.blending.sets import load_blend, read_blend, save_blend, saved_blends
from distill.blending.streams import aligned
from distill.blending.weights import curve_of, parse_curve
from distill.dsp.start import nepers

RNG = np.random.default_rng(3)
Variant = Callable[[str, Callable[[dict[str, Any]], None]], distill.Model]


@pytest.fixture(scope="module")
def variant(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Variant:
    """The tiny bundle with other facts in its sidecar: another model."""
    def make(name: str, edit: Callable[[dict[str, Any]], None]) -> distill.Model:
        folder = tmp_path_factory.mktemp("models") / name
        shutil.copytree(tiny, folder)
        facts = json.loads((folder / "decoder.onnx.json").read_text())
        facts["model"]["name"] = name
        edit(facts)
        (folder / "decoder.onnx.json").write_text(json.dumps(facts))
        return distill.load(folder, device="cpu")
    return make


@pytest.fixture(scope="module")
def a(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def b(variant: Variant) -> distill.Model:
    """The same spec, another sound and level, and a floor of its own."""
    def edit(facts: dict[str, Any]) -> None:
        facts["normalization"]["mean"][1] += 0.3
        facts["normalization"]["std"][0] *= 0.6
        facts["bands"]["floor_db"] += 10
        facts["loudness"]["gain_db"] -= 3
    return variant("other", edit)


@pytest.fixture(scope="module")
def slow(variant: Variant) -> distill.Model:
    """Half the sample rate."""
    def edit(facts: dict[str, Any]) -> None:
        facts["audio"]["sample_rate_hz"] //= 2
        facts["latent"]["rate_hz"] /= 2
    return variant("slow", edit)


@pytest.fixture(scope="module")
def stranger(variant: Variant) -> distill.Model:
    """The same spec, from another family."""
    def edit(facts: dict[str, Any]) -> None:
        facts["provenance"]["checkpoint_sha256"] = "1" * 64
        for file in facts["files"]:
            if file["role"] == "encoder":
                file["sha256"] = "2" * 64
    return variant("stranger", edit)


@pytest.mark.parametrize("mode", ["spectral", "latent", "audio"])
@pytest.mark.parametrize("knobs", [{}, {"mode": "crossfade", "segment": 0.6}, {"channels": 2}, {"quality": "high"},
                                   {"loudness": "model"}])
def test_a_model_alone_is_itself(a: distill.Model, b: distill.Model, mode: Any, knobs: dict[str, Any]) -> None:
    for weights, alone in (((1, 0), a), ((0, 0.2), b)):
        blended = distill.blend([ModelSlot(a, weights[0]), ModelSlot(b, weights[1])], mode)
        assert np.array_equal(blended.generate(1.0, seed=3, **knobs), alone.generate(1.0, seed=3, **knobs))
    blended = distill.blend([ModelSlot(a, 0.4), ModelSlot(b, 5, enabled=False)], mode)
    assert np.array_equal(blended.generate(1.0, seed=3, **knobs), a.generate(1.0, seed=3, **knobs))


@pytest.mark.parametrize("mode", ["spectral", "latent", "audio"])
@pytest.mark.parametrize("weights", [(0.3, 0.7), ((1, 0), (0, 1)), ((0.2, 1, 0), 0.5)])
def test_stream_equals_generate(a: distill.Model, b: distill.Model, mode: Any, weights: tuple[Any, Any]) -> None:
    blended = distill.blend([ModelSlot(a, weights[0]), ModelSlot(b, weights[1])], mode)
    whole = blended.generate(2.5, seed=3)
    assert whole.shape == (40_000,) and np.sqrt(np.mean(whole ** 2)) > 1e-3
    for block in (100, 512, 70_000):
        assert np.array_equal(np.concatenate(list(blended.stream(2.5, seed=3, block=block))), whole)
    assert np.array_equal(blended.generate(2.5, seed=3), whole)
    assert not np.array_equal(blended.generate(2.5, seed=4), whole)


def test_endless_equals_finite_where_they_overlap(a: distill.Model, b: distill.Model, slow: distill.Model) -> None:
    for slots, mode in (((a, b), "spectral"), ((a, b), "latent"), ((a, b, slow), "audio")):
        blended = distill.blend([ModelSlot(model, 1) for model in slots], mode)  # type: ignore[arg-type]
        stream = blended.stream(seed=2, block=4000)
        first = np.concatenate([next(stream) for _ in range(6)])
        assert np.array_equal(first[:16_000], blended.generate(2.0, seed=2)[:16_000])


@pytest.mark.parametrize("mode", ["spectral", "latent", "audio"])
def test_a_moving_weight_goes_from_one_to_the_other(a: distill.Model, b: distill.Model, mode: Any) -> None:
    """Both ends are near the models themselves; compared as bands, since phases have another past."""
    knobs: dict[str, Any] = {"seed": 5, "loudness": "model"}
    moved = distill.blend([ModelSlot(a, (1, 1, 0, 0)), ModelSlot(b, (0, 0, 1, 1))], mode).generate(3.0, **knobs)

    def far(model: distill.Model, part: slice) -> float:
        """Mean distance in dB, of bands that can be heard."""
        levels = [distill.analyze(sound, a.spec)[0][:, part] for sound in (moved, model.generate(3.0, **knobs))]
        heard = np.maximum(*levels) > -60
        return float(np.abs(np.subtract(*(np.maximum(level, -70) for level in levels)))[heard].mean())

    start, end = slice(5, 100), slice(-80, -8)
    assert far(a, start) < 0.3 * far(b, start)
    if mode != "latent":  # there the path stays that of the model which was heaviest at first
        assert far(b, end) < 0.3 * far(a, end)
    if mode == "audio":
        assert np.array_equal(moved[:16_000], a.generate(3.0, **knobs)[:16_000])
        assert np.array_equal(moved[32_000:], b.generate(3.0, **knobs)[32_000:])


def test_morph_averages_levels_and_takes_pitch_from_who_sounds() -> None:
    one, two = np.full((2, 8, 3), -60, np.float32), np.full((2, 8, 3), -60, np.float32)
    one[0, 2], two[0, 2], two[0, 6] = -20, -40, -20.1  # equally loud frames, a partial in common
    one[1], two[1] = 0.4, -0.2
    mixed = morph([one, two], np.full((2, 3), 0.5))
    assert mixed[0, 2, 0] - mixed[0, 5, 0] == pytest.approx(30, abs=0.1)
    assert mixed[0, 6, 0] - mixed[0, 5, 0] == pytest.approx(20, abs=0.1)
    power = [10 ** (frame_level(part[0]) / 10) for part in (mixed, one, two)]
    np.testing.assert_allclose(power[0], (power[1] + power[2]) / 2, rtol=1e-4)
    assert mixed[1, 2, 0] == pytest.approx(0.4, abs=0.01) and mixed[1, 5, 0] == pytest.approx(0.1, abs=1e-4)
    edges = morph([one, two], np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]))
    assert np.array_equal(edges[:, :, 0], one[:, :, 0]) and np.array_equal(edges[:, :, 1], two[:, :, 1])
    silent = np.full((2, 8, 3), -400, np.float32)
    assert np.isfinite(morph([silent, silent - 300], np.full((2, 3), 0.5))).all()


def test_a_model_that_is_silent_leaves_the_field() -> None:
    """Half of a sound and half of silence is the sound, 3 dB softer, with its valleys where they were."""
    sound, silence = np.full((2, 64, 1), -80, np.float32), np.full((2, 64, 1), -100, np.float32)
    sound[0, ::8] = -10
    mixed = morph([sound, silence], np.full((2, 1), 0.5))
    np.testing.assert_allclose(mixed[0, ::8], sound[0, ::8] - 3, atol=0.1)
    assert (mixed[0] - mixed[0].max()).min() == pytest.approx(-70, abs=1)


@pytest.mark.parametrize(("old", "new", "gain"), [(-90, -120, 0), (-90, -90, 12), (-90, -100, -12), (-100, -90, 3)])
def test_another_floor_leaves_the_power_of_every_band(old: float, new: float, gain: float) -> None:
    levels = np.linspace(old - 5, -3, 64, dtype=np.float32).reshape(1, 64, 1).repeat(2, axis=0)
    moved = on_floor(levels, old, new, gain)
    before = 20 * nepers(levels[0], old) / np.log(10) + gain
    after = 20 * nepers(moved[0], new) / np.log(10)
    sounding = levels[0] > old + 1
    np.testing.assert_allclose(after[sounding], before[sounding], atol=0.02)
    assert after[levels[0] <= old].max() < new - 40  # what was silent is not raised to the new floor


def test_audio_mode_keeps_the_power_of_unrelated_sounds() -> None:
    streams = [iter([RNG.standard_normal(50_000).astype(np.float32)]) for _ in range(3)]
    (mixed,) = mixed_sounds(streams, lambda n: np.repeat([[0.2], [0.5], [0.3]], n, axis=1))
    assert np.var(mixed) == pytest.approx(1, abs=0.03)


def test_audio_mode_takes_the_highest_rate(a: distill.Model, slow: distill.Model) -> None:
    import soxr

    both = distill.blend([ModelSlot(a, 0.5), ModelSlot(slow, 0.5)], "audio")
    assert both.sample_rate == 16_000 and both.generate(1.01, seed=1).shape == (16_160,)
    alone = distill.blend([ModelSlot(a, 0), ModelSlot(slow, 1)], "audio")
    assert alone.sample_rate == 8_000
    assert np.array_equal(alone.generate(1.0, seed=1), slow.generate(1.0, seed=1))
    knobs = {"seed": 1, "loudness": "model"}
    sum_ = both.generate(2.0, **knobs)
    expected = np.sqrt(0.5) * (a.generate(2.0, **knobs)
                               + soxr.resample(slow.generate(2.0, **knobs), 8_000, 16_000, "VHQ"))
    np.testing.assert_allclose(sum_[200:-400], expected[200:-400], atol=2e-4)


def test_latent_mode_follows_the_heaviest(a: distill.Model, b: distill.Model) -> None:
    """Two decoders, one path: the mixture of the same latents, decoded by each."""
    blended = distill.blend([ModelSlot(a, 0.3), ModelSlot(b, 0.7)], "latent")
    knobs = distill.Knobs(seed=4, loudness="model")
    made = np.concatenate(list(blended.spectrograms(knobs, 200)), axis=2)  # type: ignore[union-attr]
    latents = list(b.latents(knobs, 200))
    parts = [np.concatenate(list(model.decoded(latents)), axis=2) for model in (a, b)]
    parts[1] = on_floor(parts[1], b.spec.floor_db, a.spec.floor_db)
    expected = morph(parts, np.repeat([[0.3], [0.7]], parts[0].shape[2], axis=1))
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_what_cannot_be_blended_says_what_would_work(
        a: distill.Model, slow: distill.Model, stranger: distill.Model) -> None:
    with pytest.raises(distill.InvalidValue, match="sample_rate is 16000 and 8000; mode audio"):
        distill.blend([ModelSlot(a), ModelSlot(slow)])
    with pytest.raises(distill.InvalidValue, match="neither was fine-tuned from the other.*mode spectral"):
        distill.blend([ModelSlot(a), ModelSlot(stranger)], "latent")
    with pytest.raises(distill.InvalidValue, match="sample_rate"):
        distill.blend([ModelSlot(a), ModelSlot(slow)], "latent")
    with pytest.raises(distill.InvalidValue, match="spectral, latent or audio"):
        distill.blend([ModelSlot(a)], "mix")  # type: ignore[arg-type]
    distill.blend([ModelSlot(a), ModelSlot(stranger)])


def test_a_child_shares_its_parents_latents(a: distill.Model, variant: Variant) -> None:
    def child(facts: dict[str, Any]) -> None:
        facts["provenance"]["ancestors"] = [a.sidecar.provenance.checkpoint_sha256]
        facts["provenance"]["checkpoint_sha256"] = "3" * 64
        for file in facts["files"]:
            if file["role"] == "encoder":
                file["sha256"] = "4" * 64

    def thinner(facts: dict[str, Any]) -> None:
        child(facts)
        facts["latent"]["frames_per_latent"] *= 2
        facts["latent"]["rate_hz"] /= 2

    distill.blend([ModelSlot(a), ModelSlot(variant("child", child))], "latent")
    with pytest.raises(distill.InvalidValue, match="frames_per_latent"):
        distill.blend([ModelSlot(a), ModelSlot(variant("thinner", thinner))], "latent")


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "1", None, True, (), (1, -1), [0.1] * 1001])
def test_bad_weights(a: distill.Model, weight: Any) -> None:
    with pytest.raises(distill.InvalidValue, match="weight of tiny"):
        ModelSlot(a, weight)


@pytest.mark.parametrize("text", ["", "x", "1..", "..1", "1....0", "nan", "inf", "-1", "1..-2", "1e999", "1,5"])
def test_bad_weight_text(text: str) -> None:
    with pytest.raises(distill.InvalidValue, match="weight of m"):
        parse_curve(text, "m")


def test_weight_text() -> None:
    assert parse_curve("0.7", "m") == (0.7,) and parse_curve("1..0", "m") == (1, 0)
    assert parse_curve("0..0.5..0", "m") == (0, 0.5, 0) == curve_of([0, 0.5, 0], "m")


def test_weights_move_in_straight_lines_and_sum_to_one() -> None:
    weights = Weights(((1.0, 0.0), (0.0, 2.0, 0.0), (0.5,)))
    position = np.linspace(0, 1, 101)
    values = weights.at(position)
    np.testing.assert_allclose(values.sum(axis=0), 1)
    np.testing.assert_allclose(values[0] / values[2], 2 * (1 - position), atol=1e-12)
    np.testing.assert_allclose(values[1] / values[2], 4 * (1 - np.abs(1 - 2 * position)), atol=1e-12)
    assert np.array_equal(np.concatenate([weights.at(position[:7]), weights.at(position[7:])], axis=1), values)


@pytest.mark.parametrize("curves", [
    ((0.0,), (0.0,)), ((0.0, 1.0), (0.0,)), ((1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0, 1.0)),
])
def test_weights_that_are_all_zero_are_refused(curves: Any) -> None:
    with pytest.raises(distill.InvalidValue, match="all weights are 0"):
        Weights(curves)


def test_moving_weights_need_an_end(a: distill.Model, b: distill.Model) -> None:
    blended = distill.blend([ModelSlot(a, (1, 0)), ModelSlot(b, 1)])
    with pytest.raises(distill.InvalidValue, match="end"):
        blended.stream(seed=1)
    with pytest.raises(distill.InvalidValue, match="looped"):
        blended.generate(1.0, loop=True)
    with pytest.raises(distill.InvalidValue, match="nothing to blend"):
        distill.blend([ModelSlot(a, enabled=False)])


def test_sliders_move_the_models_that_have_them(a: distill.Model, variant: Variant) -> None:
    def plain(facts: dict[str, Any]) -> None:
        facts["controls"] = []

    other = variant("plain", plain)
    name = a.sliders.names[0]
    blended = distill.blend([ModelSlot(other, 0.5), ModelSlot(a, 0.5)])
    assert not np.allclose(blended.generate(0.5, sliders={name: 5}), blended.generate(0.5))
    with pytest.raises(distill.InvalidValue, match="treble-ish"):
        blended.generate(0.5, sliders={"treble-ish": 5})


def test_pieces_of_other_sizes_are_aligned() -> None:
    whole = RNG.standard_normal((2, 100)).astype(np.float32)
    cuts = [[0, 7, 7, 60, 100], [0, 50, 99, 99], [0, 100]]
    streams = [iter([whole[:, p:q] for p, q in zip(c, c[1:], strict=False)]) for c in cuts]
    parts = list(aligned(streams))
    assert all(len({piece.shape[1] for piece in part}) == 1 for part in parts)
    for joined in zip(*parts, strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), whole[:, :99])


def test_a_set_is_kept_and_found_again(
        a: distill.Model, b: distill.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_BLENDS", str(tmp_path / "sets"))
    slots = [ModelSlot(a, (1, 0.5), label="bells"), ModelSlot(b, 0.3), ModelSlot(b, 2, enabled=False)]
    path = save_blend("my pad", slots, "audio")
    assert saved_blends() == ["my pad"] and [p.name for p in path.parent.iterdir()] == ["my pad.json"]
    again = load_blend("my pad", lambda name: distill.load(name, device="cpu"))
    assert np.array_equal(again.generate(0.5, seed=1), distill.blend(slots, "audio").generate(0.5, seed=1))
    assert again.labels == ("bells", "other") and [slot.enabled for slot in again.slots] == [True, True, False]
    with pytest.raises(distill.FileError, match="--force"):
        save_blend("my pad", slots, "audio")
    before = path.read_bytes()
    with pytest.raises(distill.InvalidValue, match="all weights"):
        save_blend("my pad", [ModelSlot(a, 0)], "audio", force=True)
    assert path.read_bytes() == before
    for name in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(distill.InvalidValue, match="blend"):
            save_blend(name, slots, "audio")
    with pytest.raises(distill.NotFound, match="did you mean my pad"):
        read_blend("my pat")


@pytest.mark.parametrize("spoil", [
    lambda f: f.update(extra=1), lambda f: f.pop("mode"), lambda f: f.update(mode="mix"), lambda f: f.update(slots=[]),
    lambda f: f["slots"][0].pop("weight"), lambda f: f["slots"][0].update(weight=["1"]),
    lambda f: f["slots"][0].update(model_id="x"), lambda f: f.update(schema_version="2.0.0"),
    lambda f: f.update(schema="distill.preset"),
])
def test_a_broken_set_is_refused(a: distill.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 spoil: Callable[[dict[str, Any]], None]) -> None:
    monkeypatch.setenv("DISTILL_BLENDS", str(tmp_path))
    path = save_blend("x", [ModelSlot(a)], "spectral")
    facts = json.loads(path.read_text())
    spoil(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(distill.FileError, match="x.json"):
        read_blend("x")
    for text in ("", "{", '{"schema": NaN}', '{"mode": 1, "mode": 2}'):
        path.write_text(text)
        with pytest.raises(distill.FileError, match="x.json"):
            read_blend("x")


def test_another_model_in_the_place_of_one_is_noticed(
        a: distill.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_BLENDS", str(tmp_path))
    path = save_blend("x", [ModelSlot(a)], "spectral")
    path.write_text(path.read_text().replace(a.sidecar.model.id, "0" * 16))
    with pytest.raises(distill.InvalidValue, match="not the model that was saved"):
        load_blend("x", lambda name: distill.load(name, device="cpu"))
