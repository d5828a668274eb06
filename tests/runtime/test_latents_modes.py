"""Crossfade, interpolate and vector as latents: split-independent, seeded, and doing what their knobs say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import DistillError, FileError, InvalidValue, NotFound
from distill.knobs import USES, Knobs
from distill.latents import Cut, Source, make_source
from distill.latents.file import read_latent
from distill.latents.interpolate import slerp
from distill.latents.posterior import Posterior
from distill.prior import Prior
from distill.sidecar import Latent, Pca

DIM, RATE = 5, 47.0


class Facts:
    """As much of a sidecar as a source looks at."""

    pca = Pca(components=np.eye(DIM)[:2].tolist(), variance_ratio=[0.5, 0.2], p01=[-2, -2], p50=[0, 0], p99=[2, 2])
    latent = Latent(dim=DIM, frames_per_latent=2, rate_hz=RATE, mean=[1.0] * DIM, std=[0.5] * DIM, pca=pca)


def prior(*lengths: int) -> Prior:
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((DIM, sum(lengths))).astype(np.float32) + 2
    level = np.concatenate([[-90.0, *(-10.0 - 0.2 * np.arange(n - 1))][:n] for n in lengths]).astype(np.float32)
    return Prior(latents, np.cumsum([0, *lengths]), tuple(f"{i}.wav" for i in range(len(lengths))),
                 0.1 * np.eye(DIM, dtype=np.float32), level)


def source(corpus: Prior | None, lane: int = 0, **knobs: Any) -> Source:
    return make_source(Facts(), corpus, Knobs.of(**{"seed": 1, **knobs}), lane)  # type: ignore[arg-type]


SETTINGS: list[dict[str, Any]] = [
    {"mode": "walk"}, {"mode": "crossfade"}, {"mode": "crossfade", "segment": 0.3, "overlap": 0.15},
    {"mode": "interpolate"}, {"mode": "interpolate", "interval": 0.05}, {"mode": "vector"},
    {"mode": "vector", "evolution": 0.0}, {"mode": "vector", "latent": (0.5,) * DIM, "evolution": 1.0}]


@pytest.mark.parametrize("knobs", SETTINGS)
@pytest.mark.parametrize("lengths", [None, (1,), (3,), (1, 1, 1), (50, 60, 70)])
def test_any_split_gives_the_same_latents(knobs: dict[str, Any], lengths: tuple[int, ...] | None) -> None:
    corpus = None if lengths is None else prior(*lengths)
    whole = source(corpus, **knobs).take(500)
    parts = source(corpus, **knobs)
    assert np.array_equal(np.concatenate([parts.take(n) for n in (1, 0, 7, 64, 128, 300)], axis=1), whole)
    assert whole.shape == (DIM, 500) and whole.dtype == np.float32 and np.isfinite(whole).all()
    other = source(corpus, **{**knobs, "seed": 2}).take(500)
    frozen = knobs.get("evolution") == 0.0 and corpus is not None
    assert np.array_equal(other, whole) == frozen or lengths == (1,)


@pytest.mark.parametrize("knobs", [k for k in SETTINGS if k["mode"] != "vector"])
def test_steered_wander_is_that_of_the_knob(knobs: dict[str, Any]) -> None:
    for corpus in (None, prior(50, 60, 70)):
        other = source(corpus, **knobs, wander=0.9)
        steered = other.wandered(other.draw(200), np.full(200, 0.25, np.float32))
        np.testing.assert_allclose(steered, source(corpus, **knobs, wander=0.25).take(200), atol=1e-6)


@pytest.mark.parametrize("knobs", SETTINGS)
def test_lanes_go_together_but_are_not_the_same(knobs: dict[str, Any]) -> None:
    for corpus in (None, prior(500, 600)):
        lanes = [source(corpus, lane, **knobs).take(3000) for lane in (0, 1)]
        difference = (lanes[0] - lanes[1]).std()
        assert difference < 0.9 * (lanes[0] - lanes[1][:, ::-1]).std() or knobs.get("evolution") == 0.0
        assert (difference > 0) == (knobs.get("evolution") != 0.0)


KNOBS: dict[str, tuple[Any, Any]] = {
    "wander": (0.0, 1.0), "jumps": (0.0, 5.0), "near": ("0", "2"), "density": (0.5, 5.0), "segment": (1.0, 4.0),
    "overlap": (0.1, 1.0), "interval": (0.5, 5.0), "latent": ((0.0,) * DIM, (1.0,) * DIM), "evolution": (0.1, 0.9)}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, use in USES.items() for mode in use.modes
                                            if name in KNOBS])
def test_no_knob_does_nothing(name: str, mode: str) -> None:
    """With a corpus, and without where it is allowed: an overlap changes how many segments a second there are."""
    for corpus in (prior(500, 600, 700), None):
        if corpus is None and name in ("jumps", "near", "density"):
            with pytest.raises(InvalidValue, match=f"{name} needs the corpus as latents"):
                source(None, mode=mode, **{name: KNOBS[name][0]})
            continue
        if name == "overlap":
            assert Cut.of(Knobs.of(mode=mode, overlap=0.1), RATE) != Cut.of(Knobs.of(mode=mode, overlap=1.0), RATE)
            continue
        low, high = (source(corpus, mode=mode, **{name: value}).take(1000) for value in KNOBS[name])
        assert not np.array_equal(low, high)


@pytest.mark.parametrize("name", list(KNOBS))
@pytest.mark.parametrize("mode", ["walk", "crossfade", "interpolate", "vector"])
def test_a_knob_of_another_mode_is_refused(name: str, mode: str) -> None:
    modes = USES[name].modes
    if mode in modes:
        return
    with pytest.raises(InvalidValue, match=f"{name} has no meaning in mode {mode}; it belongs to .*{modes[-1]}"):
        Knobs.of(mode=mode, **{name: KNOBS[name][1]})


@pytest.mark.parametrize(("knobs", "words"), [
    ({"mode": "crossfade", "segment": 1.0, "overlap": 0.6}, "overlap is 0.6 s; .*half of the segment of 1 s"),
    ({"mode": "crossfade", "segment": 0.0}, "segment is 0.0"), ({"jumps": -1}, "jumps is -1"),
    ({"density": 2, "jumps": 1}, "jumps has no meaning with density"), ({"density": float("nan")}, "density is nan"),
    ({"mode": "interpolate", "interval": "2"}, "interval is '2'"), ({"near": 3}, "near is 3"),
    ({"mode": "vector", "evolution": 1.1}, "evolution is 1.1; .*0 to 1"), ({"loop": "yes"}, "loop is 'yes'"),
    ({"mode": "vector", "latent": "abc"}, "latent is 'abc'"), ({"mode": "vector", "latent": 3}, "latent is 3"),
    ({"mode": "vector", "latent": [0.0, float("inf")]}, r"latent\[1\] is inf"),
])
def test_bad_knobs_are_named(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Knobs.of(**knobs)


def test_a_latent_may_be_any_sequence_of_numbers() -> None:
    same = [Knobs.of(mode="vector", latent=form) for form in ([1, 2.5], (1.0, 2.5), np.array([1, 2.5], np.float32))]
    assert same[0] == same[1] == same[2] and same[0].latent == (1.0, 2.5)


def test_segments_follow_recordings_from_random_places() -> None:
    corpus = prior(300, 300)
    knobs = Knobs.of(mode="crossfade", segment=1.0, overlap=0.25, wander=0)
    cut = Cut.of(knobs, RATE)
    made = make_source(Facts(), corpus, knobs).take(40 * cut.length)  # type: ignore[arg-type]
    places = np.array([int(np.abs(corpus.latents - made[:, t:t + 1]).sum(0).argmin()) for t in range(made.shape[1])])
    starts = places[::cut.length]
    assert len(set(starts.tolist())) > 30 and starts.min() < 100 and starts.max() > 500
    inside = np.diff(places.reshape(40, cut.length), axis=1)
    assert np.mean(inside == 1) > 0.97  # the rest begin another recording


@pytest.mark.parametrize("heard", [1, 46, 47, 48, 82, 83, 1000])
def test_a_cut_says_how_many_latents_are_needed(heard: int) -> None:
    cut = Cut(length=47, overlap=12)
    total = cut.latents(heard)
    lengths = [min(cut.length, total - start) for start in range(0, total, cut.length)]
    assert sum(lengths) - cut.overlap * (len(lengths) - 1) == heard
    assert lengths[-1] > cut.overlap or len(lengths) == 1


def test_interpolation_passes_through_moments_that_sound() -> None:
    corpus = prior(100, 200, 300)
    made = source(corpus, mode="interpolate", interval=1.0, wander=0).take(47 * 30)
    distance = np.abs(made[:, ::47, None] - corpus.latents[:, None]).sum(0)
    assert distance.min(axis=1).max() < 1e-4
    assert corpus.sounding[distance.argmin(axis=1)].all()
    steps = np.linalg.norm(np.diff(made, axis=1), axis=0)
    assert steps.max() < 0.25 * np.linalg.norm(corpus.latents.std(axis=1))  # no jump anywhere
    near = source(corpus, mode="interpolate", wander=0, near="2").take(1)
    assert 300 <= int(np.abs(corpus.latents - near).sum(0).argmin())


def test_slerp_keeps_to_the_sphere() -> None:
    rng = np.random.default_rng(0)
    start, end = rng.standard_normal((2, 64)).astype(np.float32)
    at = np.linspace(0, 1, 11, dtype=np.float32)
    way = slerp(start, end, at)
    np.testing.assert_allclose(way[:, [0, -1]], np.stack([start, end], axis=1), atol=1e-5)
    lengths = np.linalg.norm(way, axis=0)
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 11), rtol=1e-5)
    turns = [float(way[:, i] @ way[:, i + 1] / lengths[i] / lengths[i + 1]) for i in range(10)]
    np.testing.assert_allclose(turns, turns[0], atol=1e-5)
    for other in (start, 2 * start, -start, np.zeros(64, np.float32)):  # no arc is defined
        assert np.isfinite(slerp(start, other, at)).all()


def test_evolution_goes_from_frozen_to_as_far_as_the_corpus() -> None:
    corpus = prior(2000, 2000)
    latent = tuple(float(v) for v in range(DIM))
    spreads = []
    for evolution in (0.0, 0.5, 1.0):
        made = source(corpus, mode="vector", latent=latent, evolution=evolution).take(20_000)
        np.testing.assert_allclose(made.mean(axis=1), latent, atol=0.15)  # three standard errors
        spreads.append(made.std())
    assert spreads[0] == pytest.approx(np.std(latent))
    around = np.sqrt(np.square(spreads[1:]) - np.var(latent))
    np.testing.assert_allclose(around, np.array([0.5, 1.0]) * corpus.latents.std(axis=1).mean(), rtol=0.1)


def test_the_vector_left_out_is_a_moment_of_the_corpus() -> None:
    corpus = prior(500, 500)
    made = source(corpus, mode="vector", evolution=0.0).take(2)
    at = np.flatnonzero((corpus.latents == made[:, :1]).all(axis=0))
    assert len(at) == 1 and corpus.level[at[0]] >= np.median(corpus.level)
    middle = np.median(corpus.latents, axis=1)
    assert np.linalg.norm(made[:, 0] - middle) < 0.5 * np.linalg.norm(corpus.latents - middle[:, None], axis=0).mean()
    drawn = [source(None, mode="vector", evolution=0.0, seed=seed).take(1) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_a_latent_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidValue, match="latent has 3 numbers; this model's latents have 5"):
        source(None, mode="vector", latent=(1, 2, 3))


def test_the_posterior_without_a_corpus_has_the_sidecars_variances() -> None:
    posterior = Posterior.of(Facts.latent, None)
    covariance = posterior.root @ posterior.root.T
    total = DIM * 0.25
    np.testing.assert_allclose(np.diag(covariance), [0.5 * total, 0.25, 0.25, 0.25, 0.25], rtol=1e-5)


WRITERS: dict[str, Callable[[Path], object]] = {
    "list.json": lambda p: p.write_text("[0.5, -1, 2]"),
    "object.json": lambda p: p.write_text('{"latent": [0.5, -1, 2]}'),
    "one.npz": lambda p: np.savez(p, latent=np.array([0.5, -1, 2])),
    "many.npz": lambda p: np.savez(p, latents=np.array([[9, 0.5, -9], [9, -1, -9], [9, 2, -9.0]])),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_latent_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    assert read_latent(tmp_path / name) == (0.5, -1.0, 2.0)


@pytest.mark.parametrize(("name", "content", "kind", "words"), [
    ("a.json", b"[1, NaN]", InvalidValue, "finite"), ("a.json", b"[]", InvalidValue, "shape"),
    ("a.json", b'["x"]', InvalidValue, "finite numbers"), ("a.json", b"{}", InvalidValue, '"latent"'),
    ("a.json", b"[[1], [2, 3]]", InvalidValue, "holds no latent"), ("a.json", b"nonsense", InvalidValue, "no latent"),
    ("a.json", b"3", InvalidValue, "shape"), ("a.npz", b"nonsense", InvalidValue, "holds no latent"),
    ("a.txt", b"1", InvalidValue, r"\.json or \.npz"), ("b.json", None, NotFound, "no such file"),
    (".", None, FileError, "cannot be read"),
])
def test_what_is_no_latent(tmp_path: Path, name: str, content: bytes | None, kind: type[DistillError],
                           words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=words):
        (tmp_path / "folder.json").mkdir()
        read_latent(tmp_path / ("folder.json" if name == "." else name))


def test_an_archive_without_latents_is_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(InvalidValue, match="it has other"):
        read_latent(tmp_path / "a.npz")
    (tmp_path / "a.json").write_text(json.dumps({"latent": [[0.0, 1.0], [2.0, 3.0]]}))
    assert len(read_latent(tmp_path / "a.json")) == 2
