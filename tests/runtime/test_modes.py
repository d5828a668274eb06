"""The modes as sound: each streams to the same bits, each is its own kind of sound, and each says what it cannot do."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill.knobs import Knobs
from distill.latents import Cut, make_source
from distill.prior import Prior

SETTINGS: list[dict[str, Any]] = [
    {"mode": "walk", "density": 4.0}, {"mode": "crossfade"}, {"mode": "crossfade", "segment": 0.5, "overlap": 0.25},
    {"mode": "crossfade", "density": 3.0, "segment": 0.8}, {"mode": "interpolate"},
    {"mode": "interpolate", "interval": 0.2}, {"mode": "vector"}, {"mode": "vector", "evolution": 0.0}]


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def lone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> distill.Model:
    """The decoder without its bundle: no corpus is stored with it."""
    path = tmp_path_factory.mktemp("lone") / "alone.onnx"
    shutil.copy(tiny / "decoder.onnx", path)
    return distill.load(path, device="cpu")


def with_corpus(tiny: Path, *spans: tuple[int, int]) -> distill.Model:
    """The tiny model with another corpus: pieces of its own."""
    model = distill.load(tiny, device="cpu")
    whole = model.prior
    assert whole is not None
    places = np.concatenate([np.arange(*span) for span in spans])
    model.__dict__["prior"] = Prior(whole.latents[:, places], np.cumsum([0, *(b - a for a, b in spans)]),
                                    tuple(f"{i}.wav" for i in range(len(spans))), whole.spread, whole.level[places])
    return model


def attacks(audio: np.ndarray, rate: int) -> int:
    """How often the level rises by 6 dB within 50 ms, to within 40 dB of the loudest; counted once in 80 ms."""
    hop = rate // 100
    power = np.square(audio[:len(audio) // hop * hop], dtype=np.float64).reshape(-1, hop).mean(axis=1)
    level = 10 * np.log10(np.convolve(power, [0.5, 0.5], "same") + 1e-14)
    count, at = 0, 3
    while at < len(level) - 2:
        top = level[at:at + 3].max()
        if top - level[at - 3:at + 1].min() >= 6 and top >= level.max() - 40:
            count, at = count + 1, at + 9
        else:
            at += 1
    return count


@pytest.mark.parametrize("knobs", SETTINGS)
def test_streams_to_the_same_bits(model: distill.Model, knobs: dict[str, Any]) -> None:
    whole = model.generate(2.5, seed=3, **knobs)
    assert whole.shape == (40_000,) and np.sqrt(np.mean(whole ** 2)) > 1e-3
    for block in (333, 512, 100_000):
        assert np.array_equal(np.concatenate(list(model.stream(2.5, seed=3, block=block, **knobs))), whole)
    endless = list(itertools.islice(model.stream(seed=3, block=1000, **knobs), 24))
    assert np.array_equal(np.concatenate(endless), whole[:24_000])
    assert np.array_equal(whole, model.generate(2.5, seed=3, **knobs))


@pytest.mark.parametrize("knobs", SETTINGS)
def test_works_without_a_corpus(lone: distill.Model, knobs: dict[str, Any]) -> None:
    if "density" in knobs:
        with pytest.raises(distill.InvalidValue, match="density needs the corpus as latents"):
            lone.stream(**knobs)
        return
    audio = lone.generate(2.0, seed=1, **knobs)
    assert np.sqrt(np.mean(audio ** 2)) > 1e-4 and not np.array_equal(audio, lone.generate(2.0, seed=2, **knobs))


@pytest.mark.parametrize("knobs", [{"mode": "walk", "jumps": 5.0}, *SETTINGS])
@pytest.mark.parametrize("spans", [((0, 60),), ((5, 6),), ((5, 6), (80, 81), (200, 203)),
                                   ((0, 60), (63, 120), (133, 190), (209, 280), (291, 340))])
def test_works_with_very_small_corpora(tiny: Path, spans: tuple[tuple[int, int], ...], knobs: dict[str, Any]) -> None:
    small = with_corpus(tiny, *spans)
    onsets = max(b - a for a, b in spans) > 10
    if "density" in knobs and not onsets:
        with pytest.raises(distill.InvalidValue, match="density needs sounds that begin, and this corpus has none"):
            small.generate(1.0, **knobs)
        return
    audio = small.generate(1.5, seed=1, **knobs)
    assert np.isfinite(audio).all() and np.sqrt(np.mean(audio ** 2)) > 1e-5


def test_crossfade_is_overlap_add_of_decoded_segments(model: distill.Model) -> None:
    knobs = Knobs.of(mode="crossfade", segment=1.7, overlap=0.6, seed=5)
    cut, ratio = Cut.of(knobs, model.sidecar.latent.rate_hz), model.sidecar.latent.frames_per_latent
    source = make_source(model.sidecar, model.prior, knobs)
    segments = [np.concatenate(list(model.decoded([source.take(cut.length)])), axis=2) for _ in range(5)]
    expected = distill.overlap_add(segments, cut.overlap * ratio)
    assert expected.shape[:3] == (1, 2, model.spec.n_mels)
    for frames in (expected.shape[3], expected.shape[3] - 100):
        made = np.concatenate(list(model.spectrograms(knobs, frames)), axis=2)
        exact = frames - model.sidecar.chunking.receptive_field_right * ratio  # the end of a shorter sound is known
        np.testing.assert_array_equal(made[:, :, :exact], expected[0, :, :, :exact])


def figures(model: distill.Model, **knobs: Any) -> dict[str, float]:
    """Rise from frame to frame, level, its spread, and how many frames begin a sound: means over six seeds, dB."""
    rows = []
    for seed in range(1, 7):
        level = np.concatenate(list(model.spectrograms(Knobs.of(seed=seed, **knobs), 2000)), axis=2)[0]
        total = 10 * np.log10((10 ** (level / 10)).sum(axis=0))
        rows.append((np.maximum(np.diff(level, axis=1), 0).mean(), total.mean(), total.std(),
                     np.mean(total[2:] - total[:-2] > 6)))
    return dict(zip(("flux", "level", "spread", "begins"), np.mean(rows, axis=0).tolist(), strict=True))


def test_the_modes_differ(model: distill.Model) -> None:
    walk, events = figures(model), figures(model, density=5.0)
    fade, glide = figures(model, mode="crossfade", segment=1.0), figures(model, mode="interpolate")
    frozen, free = (figures(model, mode="vector", evolution=e) for e in (0.0, 1.0))
    assert events["flux"] > 2 * walk["flux"] and events["begins"] > 2 * walk["begins"] > 0  # more sounds begin
    assert fade["spread"] < 0.95 * walk["spread"] and fade["level"] > walk["level"]  # and segments fill the gaps
    assert glide["begins"] == 0 and glide["flux"] < 0.9 * walk["flux"]  # gliding: no attack anywhere
    assert glide["spread"] < 0.75 * walk["spread"]
    assert frozen["spread"] < 1 and frozen["flux"] < 0.6 * glide["flux"] and frozen["begins"] == 0
    assert free["spread"] > 3 and free["flux"] > 1.5 * frozen["flux"]


def test_interpolation_is_even_between_its_anchors(model: distill.Model) -> None:
    level_of = model._decoder.steady_levels
    corpus, rate = model.prior, model.sidecar.latent.rate_hz
    unevenness = []
    for ear in (None, level_of):
        source = make_source(model.sidecar, corpus, Knobs.of(mode="interpolate", wander=0.0, seed=2), 0, ear)
        period = round(2 * rate)
        latents = source.take(20 * period + 1)
        anchors, middles = level_of(latents[:, ::period]), level_of(latents[:, period // 2::period])
        unevenness.append(float(np.abs(middles - (anchors[:-1] + anchors[1:]) / 2).max()))
    assert unevenness[0] > 8 and unevenness[1] < 2.5


def test_the_stored_levels_are_those_of_the_sound(model: distill.Model) -> None:
    corpus = model.prior
    assert corpus is not None
    power = (10 ** (model.decode(corpus.latents)[0] / 10)).sum(axis=0).reshape(corpus.total, -1).max(axis=1)
    loud = corpus.within(40.0)
    assert np.median(np.abs(10 * np.log10(power) - corpus.level)[loud]) < 1.5
    assert corpus.level.max() == pytest.approx(model.sidecar.loudness.frame_limit_db, abs=0.1)


@pytest.mark.parametrize("mode", ["walk", "crossfade"])
@pytest.mark.parametrize("density", [1.0, 4.0])
def test_density_is_heard(model: distill.Model, mode: str, density: float) -> None:
    heard = [attacks(model.generate(15.0, seed=seed, mode=mode, density=density), model.sample_rate) / 15
             for seed in (1, 2)]
    assert np.mean(heard) == pytest.approx(density, rel=0.12)


def test_wrong_wishes_are_answered_at_once(model: distill.Model) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"near": "tone_8"}, "near is 'tone_8'.*did you mean tone_"),
        ({"mode": "vector", "latent": (1.0, 2.0)}, "latent has 2 numbers; this model's latents have 8"),
        ({"segment": 2.0}, "it belongs to crossfade"), ({"mode": "glide"}, "interpolate"),
        ({"mode": "crossfade", "segment": 0.2, "overlap": 0.15}, "at most half")]
    for knobs, words in wrong:
        with pytest.raises(distill.InvalidValue, match=words):
            model.stream(**knobs)  # not when the first block is asked for


def test_on_the_command_line(run: Any, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "z.json").write_text(json.dumps([0.3] * 8))
    for number, words in enumerate((
            ("--mode", "vector", "--latent", tmp_path / "z.json", "--evolution", 0.5),
            ("--mode", "crossfade", "--segment", 0.6, "--overlap", 0.2, "--near", "tone_2", "--density", 3))):
        result = run("distill", "generate", tiny, "-o", tmp_path / f"{number}.wav", "--seconds", 0.5, *words)
        assert result.returncode == 0, result.stderr
    for words, said, code in ((("--near", "tune_2"), "did you mean tone_2.wav", 2),
                              (("--mode", "vector", "--latent", tmp_path / "no.npz"), "no.npz", 3)):
        result = run("distill", "generate", tiny, "-o", tmp_path / "x.wav", *words)
        assert result.returncode == code and said in result.stderr and "Traceback" not in result.stderr
        assert not (tmp_path / "x.wav").exists()
