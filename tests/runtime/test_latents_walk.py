"""The walk: split-independent, seeded, faithful at wander 0, at home with very small corpora."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.latents.noise import SmoothNoise
from distill.latents.onsets import Onsets
from distill.latents.posterior import Posterior
from distill.latents.trail import TAKE_SECONDS, Trail, beginning
from distill.latents.walk import Drift, Walk
from distill.prior import Prior

DIM, RATE = 6, 47.0


def prior(*lengths: int) -> Prior:
    rng = np.random.default_rng(0)
    latents = np.cumsum(rng.standard_normal((DIM, sum(lengths))), axis=1).astype(np.float32) * 0.3
    spread = np.tril(rng.standard_normal((DIM, DIM))).astype(np.float32) * 0.1
    level = np.full(sum(lengths), -20, np.float32)
    return Prior(latents, np.cumsum([0, *lengths]), tuple(f"{i}.wav" for i in range(len(lengths))), spread, level)


def walk(source: Prior, lane: int = 0, **knobs: object) -> Walk:
    return Walk(source, RATE, Knobs.of(**{"seed": 1, **knobs}), lane)


def from_recordings(made: np.ndarray, source: Prior) -> np.ndarray:
    """Distance of each frame to the nearest stored one."""
    return np.sqrt(((made[:, :, None] - source.latents[:, None]) ** 2).sum(0)).min(1)


@pytest.mark.parametrize("lengths", [(1,), (3,), (40,), (1, 1), (50, 60, 70), (200, 5, 300, 2, 90)])
def test_any_split_gives_the_same_latents(lengths: tuple[int, ...]) -> None:
    source = prior(*lengths)
    whole = walk(source, jumps=2).take(500)
    parts = walk(source, jumps=2)
    assert np.array_equal(np.concatenate([parts.take(n) for n in (1, 0, 7, 64, 128, 300)], axis=1), whole)
    assert np.isfinite(whole).all() and whole.dtype == np.float32


def test_wander_zero_stays_on_the_recordings() -> None:
    source = prior(150, 170, 190)
    made = walk(source, wander=0).take(2000)
    distance = from_recordings(made, source)
    assert np.mean(distance < 1e-5) > 0.9  # the rest are the few frames where two recordings are joined


def test_without_jumps_recordings_are_played_whole() -> None:
    source = prior(50, 60, 70)
    made = walk(source, wander=0, jumps=0).take(3000)
    assert from_recordings(made, source).max() < 1e-5
    position = np.array([int(np.abs(source.latents - made[:, t:t + 1]).sum(0).argmin()) for t in range(3000)])
    leaps = np.flatnonzero(np.diff(position) != 1)
    assert set(position[leaps] + 1) <= set(source.offsets) and set(position[leaps + 1]) <= set(source.offsets)


@pytest.mark.parametrize("jumps", [0.2, 1.0])
def test_jumps_come_as_often_as_asked(jumps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents that say where they are, and a neighbour on the other half of the recording whenever one is wanted."""
    places = np.arange(40_000)
    source = Prior(np.tile(places, (2, 1)).astype(np.float32), np.array([0, 40_000]), ("a",),
                   np.zeros((2, 2), np.float32), np.zeros(40_000, np.float32))
    source.once(("usual distance", max(1, round(0.5 * RATE))), lambda: 1.0)
    monkeypatch.setattr(Prior, "neighbours", lambda self, position, count, apart: (
        np.array([(position + 20_000) % 40_000]), np.array([0.5])))
    made = walk(source, jumps=jumps).take(19_000)[0]
    moved = np.abs(np.diff(made))
    assert moved[moved > 100].sum() / 20_000 / (19_000 / RATE) == pytest.approx(jumps, rel=0.25)


def test_wander_adds_what_it_says() -> None:
    source = prior(300, 300)
    difference = walk(source, wander=0.5).take(20_000) - walk(source, wander=0).take(20_000)
    np.testing.assert_allclose(np.cov(difference), 0.25 * source.spread @ source.spread.T, atol=0.003)


def test_steered_wander_replaces_the_knob() -> None:
    source = prior(300, 300)
    other = walk(source, wander=0.9)
    steered = other.wandered(other.draw(400), np.full(400, 0.2, np.float32))
    np.testing.assert_array_equal(steered, walk(source, wander=0.2).take(400))


def test_lanes_take_one_path_with_different_noise() -> None:
    source = prior(300, 300)
    first, second = (walk(source, lane, wander=0.5, jumps=1).take(5000) for lane in (0, 1))
    path = walk(source, wander=0, jumps=1).take(5000)
    for noise in (first - path, second - path):
        np.testing.assert_allclose(noise.std(), np.sqrt(0.25 * np.square(source.spread).sum() / DIM), rtol=0.1)
    correlation = np.corrcoef((first - path).ravel(), (second - path).ravel())[0, 1]
    assert abs(correlation) < 0.1
    np.testing.assert_array_equal(walk(source, 1, wander=0).take(500), walk(source, 0, wander=0).take(500))


def test_every_recording_is_visited() -> None:
    source = prior(60, 60, 60, 60)
    made = walk(source, wander=0).take(4000)
    for file in range(4):
        start, stop = source.span(file)
        inside = np.sqrt(((made[:, :, None] - source.latents[:, None, start:stop]) ** 2).sum(0)).min(1) < 1e-5
        assert inside.any()


def test_each_recording_comes_once_before_any_comes_again() -> None:
    source = prior(40, 41, 42, 43, 44)
    for seed in range(4):
        made = walk(source, seed=seed, wander=0, jumps=0).take(210 + 5 * 210)[0]
        order = [int(np.flatnonzero(source.latents[0] == value)[0]) for value in made]
        files = [source.file_of(place) for place in order if place in source.offsets]
        assert all(a != b for a, b in zip(files, files[1:], strict=False))
        assert all(set(files[i:i + 5]) == set(range(5)) for i in (0, 5, 10, 15)), files


def test_from_round_to_round_recordings_move_by_half_a_round_at_most() -> None:
    source = prior(*range(40, 47))
    made = walk(source, seed=2, wander=0, jumps=0).take(12 * sum(range(40, 47)))[0]
    starts = {source.latents[0, place]: source.file_of(place) for place in source.offsets[:-1].tolist()}
    files = [starts[value] for value in made if value in starts][:70]
    rounds = [files[i:i + 7] for i in range(0, 70, 7)]
    moves = [abs(now.index(f) - before.index(f)) for before, now in zip(rounds, rounds[1:], strict=False) for f in now]
    assert 1 <= max(moves) <= 3.5
    assert len({tuple(order) for order in rounds}) > 5


def test_no_recording_follows_itself_where_there_is_another() -> None:
    """Also where a jump went to the last one of a round."""

    class Watched(Trail):
        repeated = 0

        def _next_file(self) -> None:
            ended = self._file
            super()._next_file()
            self.repeated += self._file == ended

    for source in (prior(40, 60), prior(40, 50, 60)):
        for seed in range(4):
            trail = Watched(source, RATE, (seed, 0), 1.0, 0)
            trail.take(20_000)
            assert trail.repeated == 0
    alone = Watched(prior(40), RATE, (1, 0), 1.0, 0)
    alone.take(1000)
    assert alone.repeated > 5


def test_a_long_recording_is_not_away_for_longer_than_its_share() -> None:
    """Ways begin in the long one most often; in rounds of any order, six others on average would come before it."""
    source = prior(400, 20, 21, 22, 23)
    away = []
    for seed in range(100):
        made = walk(source, seed=seed, wander=0, jumps=0, near="0").take(1000)[0]
        away.append(int(np.flatnonzero(made[400:] == source.latents[0, 0])[0]))
    assert 86 <= np.mean(away) < 105  # latent frames: 86 that the four others last together, and hardly more


def begun(source: Prior, seeds: int) -> list[int]:
    return [beginning(source, RATE, seed) for seed in range(seeds)]


def decaying(*lengths: int, db_a_frame: float) -> Prior:
    source = prior(*lengths)
    level = np.concatenate([-db_a_frame * np.arange(length) for length in lengths]).astype(np.float32)
    return Prior(source.latents, source.offsets, source.files, source.spread, level)


def test_walks_of_consecutive_seeds_begin_all_over_the_corpus() -> None:
    take = round(TAKE_SECONDS * RATE)
    short = prior(*[100] * 8)
    assert set(begun(short, 13)) == set(range(0, 800, 100))  # every recording, from its start
    long = prior(8 * take)
    assert {place // take for place in begun(long, 13)} == set(range(8))  # not the first minute of an hour only
    assert 0 <= beginning(long, RATE, (1 << 63) - 1) < 8 * take


@pytest.mark.parametrize(("seconds", "db_a_frame", "from_the_start"), [
    (0.5, 0.3, True), (8.0, 0.0, True), (8.0, 0.3, False), (14.0, 0.3, False), (14.0, 0.0, False)])
def test_notes_that_die_away_slowly_do_not_make_every_take_loud(
        seconds: float, db_a_frame: float, from_the_start: bool) -> None:
    source = decaying(*[round(seconds * RATE)] * 5, db_a_frame=db_a_frame)
    places = np.array(begun(source, 400))
    assert (set(places.tolist()) <= set(source.offsets.tolist())) == from_the_start
    after = np.array([place - source.span(source.file_of(place))[0] for place in places])
    assert not ((after > 0) & (after <= RATE / 4)).any() and (after == 0).any()  # no attack is just missed


@pytest.mark.parametrize("name", ["2.wav", "2"])
def test_starts_near_a_recording(name: str) -> None:
    source = prior(60, 60, 60, 60)
    for seed in range(5):
        made = walk(source, seed=seed, wander=0, near=name).take(1)
        np.testing.assert_array_equal(made[:, 0], source.latents[:, 120])


def test_unknown_recordings_are_answered_with_the_closest() -> None:
    source = prior(3, 3, 3, 3)
    named = Prior(source.latents, source.offsets, ("a/bell_01.wav", "a/bell_02.wav", "a/gong.wav", "b/gong.wav"),
                  source.spread, source.level)
    with pytest.raises(InvalidValue, match=r"bell_3\.wav.*did you mean .*bell_0\d\.wav or .*bell_0\d\.wav\? \(2 more"):
        named.named("bell_3.wav")
    with pytest.raises(InvalidValue, match=r"there are .*bell_01\.wav"):
        named.named("xyzzy")
    with pytest.raises(InvalidValue, match=r"may be a/gong\.wav or b/gong\.wav"):
        named.named("gong")
    assert named.named("bell_02") == 1 and named.named("b/gong.wav") == 3


def test_spread_is_that_of_neighbours() -> None:
    """Latents that vary by much along one axis together, and by little across: spread sees the little."""
    rng = np.random.default_rng(3)
    latents = np.stack([np.linspace(-3, 3, 2000), 0.05 * rng.standard_normal(2000)]).astype(np.float32)
    latents[0] += 0.01 * rng.standard_normal(2000)
    order = rng.permutation(2000)  # so that neighbours are not excluded for being near in time
    nothing, level = np.zeros((2, 2), np.float32), np.zeros(2000, np.float32)
    source = Prior(latents[:, order], np.array([0, 2000]), ("a",), nothing, level)
    root = source.measure_spread(RATE)
    covariance = root @ root.T
    assert covariance[0, 0] < 0.02 * latents[0].var()
    short = Prior(latents[:, :3], np.array([0, 3]), ("a",), nothing, level[:3])
    assert np.isfinite(short.measure_spread(RATE)).all() and short.measure_spread(RATE)[0, 0] > 0


def test_noise_is_smooth_and_of_constant_variance() -> None:
    noise = SmoothNoise(np.eye(400, dtype=np.float32), 16, (1,)).take(1600)
    np.testing.assert_allclose((noise ** 2).mean(axis=0).reshape(-1, 16).mean(axis=0), 1, atol=0.05)
    assert np.abs(np.diff(noise, axis=1)).std() < 0.15


@pytest.mark.parametrize("wander", [0.0, 0.5, 1.0])
def test_without_a_corpus_the_statistics_serve(wander: float) -> None:
    root = np.diag(np.full(DIM, 0.5, np.float32))
    root[0, 1] = root[1, 0] = 0.3
    posterior = Posterior(np.full(DIM, 3, np.float32), np.full(DIM, 0.5, np.float32), None, root, root)
    made = Drift(posterior, RATE, 1, wander).take(40_000)
    np.testing.assert_allclose(made.mean(axis=1), 3, atol=0.15)
    np.testing.assert_allclose(np.cov(made), root @ root.T, atol=0.08)
    parts = Drift(posterior, RATE, 1, wander)
    assert np.array_equal(np.concatenate([parts.take(n) for n in (1, 0, 30, 469)], axis=1), made[:, :500])


def test_without_a_corpus_wander_makes_it_restless() -> None:
    posterior = Posterior(np.zeros(DIM, np.float32), np.ones(DIM, np.float32), None, np.eye(DIM, dtype=np.float32),
                          np.eye(DIM, dtype=np.float32))
    movement = [np.abs(np.diff(Drift(posterior, RATE, 1, w).take(5000), axis=1)).mean() for w in (0.0, 0.5, 1.0)]
    assert movement[1] > 1.5 * movement[0] and movement[2] > 1.3 * movement[1]


def test_neighbours_are_the_nearest_elsewhere() -> None:
    source = prior(100, 100)
    found, distance = source.neighbours(30, 5, apart=10)
    assert all(abs(p - 30) >= 10 or p >= 100 for p in found)
    brute = np.sqrt(((source.latents - source.latents[:, 30:31]) ** 2).sum(axis=0) / source.latents.var(axis=1).sum())
    brute[20:40] = np.inf
    np.testing.assert_array_equal(found, np.argsort(brute)[:5])
    np.testing.assert_allclose(distance, np.sort(brute)[:5], rtol=1e-4)


def test_a_large_corpus_is_searched_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill.prior._CANDIDATES", 50)
    source = prior(1000, 1000)
    places, telling = source._candidates
    assert len(places) == 50 == telling.shape[1]
    found, distance = source.neighbours(333, 5, apart=10)
    assert set(found) <= set(places) and (np.diff(distance) >= 0).all()
    assert all(abs(p - 333) >= 10 for p in found)


def test_what_follows_from_the_corpus_alone_is_found_once() -> None:
    """A new seed is a new source in the thread that plays: statistics of the corpus have no place there."""
    source = prior(60, 200)
    assert Posterior.of(None, source) is Posterior.of(None, source)  # type: ignore[arg-type]
    assert Onsets.of(source, RATE) is Onsets.of(source, RATE) is not Onsets.of(source, 2 * RATE)
    other = replace(source, spread=2 * source.spread)
    np.testing.assert_array_equal(Posterior.of(None, other).step, other.spread)  # type: ignore[arg-type]


def test_the_usual_distance_is_the_median_to_the_nearest_elsewhere() -> None:
    source = prior(60, 200)
    nearest = [source.neighbours(int(p), 1, apart=10)[1][0] for p in np.linspace(0, 259, 48).astype(int)]
    assert source.usual_distance(10) == pytest.approx(float(np.median(nearest)), rel=1e-5)
