"""Random numbers: the published generator, what its distributions promise, and streams that have nothing in common."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from distill.rng import Rng


def test_is_the_published_generator() -> None:
    """SplitMix64 from the state 1234567, as implementations in other languages give it."""
    rng = Rng(())
    rng._state = 1234567
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert rng.bits(4).tolist() == expected
    rng._state = 1234567
    assert [rng._next() for _ in range(4)] == expected


def test_numbers_do_not_depend_on_how_many_are_asked_for() -> None:
    whole, parts = Rng((5, 1)).bits(1000), Rng((5, 1))
    np.testing.assert_array_equal(np.concatenate([parts.bits(n) for n in (1, 0, 333, 666)]), whole)
    one = Rng((5, 1))
    assert [one._next() for _ in range(1000)] == whole.tolist()


@pytest.mark.parametrize("seed", [(0,), (1,), (0, 0), (1 << 63,), (7, 0x511DE)])
def test_distributions(seed: tuple[int, ...]) -> None:
    """Kolmogorov and Smirnov find nothing wrong; of a fixed seed, so this either always passes or never."""
    rng, count = Rng(seed), 20_000
    for values, distribution in ((rng.normal(count), "norm"),
                                 ([rng.uniform(0, 1) for _ in range(count)], "uniform"),
                                 ([rng.exponential(1.0) for _ in range(count)], "expon")):
        assert stats.kstest(values, distribution).pvalue > 1e-3
    die = np.bincount([rng.below(6) for _ in range(count)], minlength=6)
    assert len(die) == 6 and stats.chisquare(die).pvalue > 1e-3
    assert np.abs(rng.normal(1_000_001)).max() > 4.5


def test_normal_numbers_are_uncorrelated() -> None:
    values = Rng((3,)).normal(40_001)
    assert len(values) == 40_001 and values.dtype == np.float32
    for lag in (1, 2, 20_000):
        assert abs(np.corrcoef(values[lag:], values[:-lag])[0, 1]) < 0.02


def test_every_seed_has_a_stream_of_its_own() -> None:
    seeds = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (1 << 64,), (1 << 64, 0), ((1 << 64) + 1,)]
    streams = [Rng(seed).bits(500) for seed in seeds]
    assert len(np.unique(np.concatenate(streams))) == 500 * len(seeds)
    near = np.array([Rng((seed, 0)).normal(64) for seed in range(400)])
    off_diagonal = np.corrcoef(near)[np.triu_indices(400, 1)]
    assert abs(off_diagonal.mean()) < 2e-3 and abs(off_diagonal.std() - 1 / np.sqrt(63)) < 2e-3


def test_permutations() -> None:
    rng = Rng((2,))
    orders = [tuple(rng.permutation(4)) for _ in range(12_000)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-3
    assert rng.permutation(0) == [] and rng.permutation(1) == [0]


def test_making_sound_does_not_import_numpys() -> None:
    """Its import takes as long as a second of sound."""
    code = ("import sys, distill; distill.load().generate(0.5, seed=3, channels=2, wander=1.0)\n"
            "print([name for name in ('numpy.random', 'secrets') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_seed_is_a_whole_number_of_at_least_0() -> None:
    assert Rng((np.int64(3),)).bits(2).tolist() == Rng((3,)).bits(2).tolist()
    with pytest.raises(ValueError, match="0 or more"):
        Rng((-1,))
    with pytest.raises(TypeError):
        Rng((1.5,))  # type: ignore[arg-type]


def test_distributions_at_the_ends_of_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in (0, (1 << 64) - 1):
        rng = Rng((1,))
        monkeypatch.setattr(rng, "bits", lambda count, word=word: np.full(count, word, np.uint64))
        monkeypatch.setattr(rng, "_next", lambda word=word: word)
        assert np.isfinite(rng.normal(4)).all()
        assert np.isfinite(rng.exponential(1.0)) and rng.exponential(1.0) >= 0
        assert 0 <= rng.below(7) < 7
        assert 2 <= rng.uniform(2, 3) <= 3
