"""The walk: split-independent, seeded, faithful at wander 0, at home with very small corpora."""

from __future__ import annotations

import numpy as np
import pytest

from distill.latents.noise import Gaussian, SmoothNoise
from distill.latents.walk import Walk
from distill.prior import Prior

DIM = 6


def prior(*lengths: int) -> Prior:
    rng = np.random.default_rng(0)
    latents = np.cumsum(rng.standard_normal((DIM, sum(lengths))), axis=1).astype(np.float32) * 0.3
    spread = np.tril(rng.standard_normal((DIM, DIM))).astype(np.float32) * 0.1
    return Prior(latents, np.cumsum([0, *lengths]), tuple(f"{i}.wav" for i in range(len(lengths))), spread)


def walk(source: Prior, seed: int = 1, wander: float = 0.3) -> Walk:
    return Walk(source, 47.0, seed, wander)


@pytest.mark.parametrize("lengths", [(1,), (3,), (40,), (1, 1), (50, 60, 70), (200, 5, 300, 2, 90)])
def test_any_split_gives_the_same_latents(lengths: tuple[int, ...]) -> None:
    source = prior(*lengths)
    whole = walk(source).take(500)
    parts = walk(source)
    assert np.array_equal(np.concatenate([parts.take(n) for n in (1, 0, 7, 64, 128, 300)], axis=1), whole)
    assert np.isfinite(whole).all()


def test_wander_zero_stays_on_the_recordings() -> None:
    source = prior(150, 170, 190)
    made = walk(source, wander=0).take(2000)
    distance = np.sqrt(((made[:, :, None] - source.latents[:, None]) ** 2).sum(0)).min(1)
    assert np.mean(distance < 1e-5) > 0.9  # the rest are the few frames where two recordings are joined


def test_wander_adds_what_it_says() -> None:
    source = prior(300, 300)
    difference = walk(source, wander=0.5).take(20_000) - walk(source, wander=0).take(20_000)
    np.testing.assert_allclose(np.cov(difference), 0.25 * source.spread @ source.spread.T, atol=0.003)


def test_spread_is_that_of_neighbours() -> None:
    """Latents that vary by much along one axis together, and by little across: spread sees the little."""
    rng = np.random.default_rng(3)
    latents = np.stack([np.linspace(-3, 3, 2000), 0.05 * rng.standard_normal(2000)]).astype(np.float32)
    latents[0] += 0.01 * rng.standard_normal(2000)
    order = rng.permutation(2000)  # so that neighbours are not excluded for being near in time
    source = Prior(latents[:, order], np.array([0, 2000]), ("a",), np.zeros((2, 2), np.float32))
    root = source.measure_spread(47.0)
    covariance = root @ root.T
    assert covariance[0, 0] < 0.02 * latents[0].var()
    short = Prior(latents[:, :3], np.array([0, 3]), ("a",), np.zeros((2, 2), np.float32))
    assert np.isfinite(short.measure_spread(47.0)).all() and short.measure_spread(47.0)[0, 0] > 0


def test_every_recording_is_visited() -> None:
    source = prior(60, 60, 60, 60)
    made = walk(source, wander=0).take(4000)
    for file in range(4):
        start, stop = source.span(file)
        inside = np.sqrt(((made[:, :, None] - source.latents[:, None, start:stop]) ** 2).sum(0)).min(1) < 1e-5
        assert inside.any()


def test_noise_is_smooth_and_of_constant_variance() -> None:
    noise = SmoothNoise(np.eye(400, dtype=np.float32), 16, np.random.SeedSequence(1)).take(1600)
    np.testing.assert_allclose((noise ** 2).mean(axis=0).reshape(-1, 16).mean(axis=0), 1, atol=0.05)
    assert np.abs(np.diff(noise, axis=1)).std() < 0.15


def test_without_a_corpus_the_statistics_serve() -> None:
    made = Gaussian(np.full(DIM, 3, np.float32), np.full(DIM, 0.5, np.float32), 47.0, seed=1).take(20_000)
    np.testing.assert_allclose(made.mean(axis=1), 3, atol=0.15)
    np.testing.assert_allclose(made.std(axis=1), 0.5, rtol=0.2)


def test_neighbours_are_the_nearest_elsewhere() -> None:
    source = prior(100, 100)
    found, distance = source.neighbours(30, 5, apart=10)
    assert all(abs(p - 30) >= 10 or p >= 100 for p in found)
    white = source.latents / source.latents.std(axis=1, keepdims=True)
    brute = np.sqrt(((white - white[:, 30:31]) ** 2).mean(0))
    brute[20:40] = np.inf
    np.testing.assert_array_equal(found, np.argsort(brute)[:5])
    np.testing.assert_allclose(distance, np.sort(brute)[:5], rtol=1e-4)
