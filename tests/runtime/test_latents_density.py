"""Onsets are found where levels rise; events come when the clock says, and nothing else begins between them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.latents.events import Clock, Struck
from distill.latents.onsets import Onsets, find_onsets
from distill.latents.segments import Cut, Segments
from distill.latents.walk import Walk
from distill.prior import Prior

RATE = 47.0


def struck(*rooms: tuple[int, ...]) -> Prior:
    """One recording for each tuple: a quiet frame, then sounds that decay for so many frames each.

    Latent 0 is the level, latent 1 the position in the corpus.
    """
    levels = [np.concatenate([[-90.0], *(-10.0 - 30 * np.arange(n) / max(n, 8) for n in sounds)]) for sounds in rooms]
    level = np.concatenate(levels).astype(np.float32)
    latents = np.stack([level, np.arange(len(level))]).astype(np.float32)
    offsets = np.cumsum([0, *(len(part) for part in levels)])
    return Prior(latents, offsets, tuple(f"{i}.wav" for i in range(len(rooms))), np.zeros((2, 2), np.float32), level)


def rises(level: np.ndarray) -> np.ndarray:
    """Frames that end a rise of the level by 6 dB or more a frame."""
    up = np.diff(level, append=level[-1]) >= 6
    return np.flatnonzero(up[:-1] & ~up[1:]) + 1


def test_onsets_are_where_levels_rise() -> None:
    source = struck((40, 30, 20), (60,))
    onsets = Onsets.of(source, RATE)
    assert onsets.positions.tolist() == [1, 41, 71, 92]
    assert onsets.room.tolist() == [39, 29, 20, 60]  # each ends a frame before the next, or with its recording


@pytest.mark.parametrize(("level", "expected"), [
    (np.full(50, -20.0), []),  # a drone
    (-20 + 2 * np.sin(np.arange(200)), []),  # rain
    (np.linspace(-60, -10, 60), []),  # a swell: under 6 dB in two frames
    (-10 - 0.7 * np.arange(60), [0]),  # cut off at its attack
    (np.r_[-90.0, -70, -15, -9, -10, -11], [2]),  # the steepest frame of one attack, and one onset for it
    (np.r_[np.full(9, -90.0), np.full(9, -65.0)], []),  # too soft to be heard beside the rest
    (np.r_[-10.0], []), (np.r_[-10.0, -10.0], []),
])
def test_what_is_an_onset(level: np.ndarray, expected: list[int]) -> None:
    assert find_onsets(level.astype(np.float32), apart=3, audible=-50.0).tolist() == expected


def test_the_clock_keeps_its_rate_and_can_be_asked_again() -> None:
    clock = Clock(4.0, RATE, (1,))
    events = list(itertools.islice(clock.since(0), 2000))
    gaps = np.diff(events)
    assert events[0] <= 1 and len(events) / (events[-1] / RATE) == pytest.approx(4, rel=0.02)
    assert gaps.min() >= 0.7 * RATE / 4 - 1 and gaps.max() <= 1.3 * RATE / 4 + 1
    again = Clock(4.0, RATE, (1,))
    for start in (0, 500, 500, 1234):
        part = list(itertools.islice(again.since(start), 40))
        first = max(i for i, e in enumerate(events) if e <= max(start, events[0]))
        assert part == [e - start for e in events[first:first + 40]]
    assert len(again._events) < 60  # what is past is forgotten
    only = Clock(4.0, RATE, (1,))
    assert list(itertools.islice(only.once(), 2000)) == events and len(only._events) < 2


def test_a_clock_faster_than_the_latents_is_refused() -> None:
    with pytest.raises(InvalidValue, match="density is 12.*4 sounds"):
        Clock(12.0, 12.0, (1,))


@pytest.mark.parametrize("density", [0.3, 1.0, 4.0, 10.0])
@pytest.mark.parametrize("rooms", [((60,),), ((5, 5, 5, 5, 5), (9, 9)), ((200,), (50,), (8, 8, 100))])
def test_as_many_sounds_begin_as_asked(density: float, rooms: tuple[tuple[int, ...], ...]) -> None:
    source = struck(*rooms)
    made = Walk(source, RATE, Knobs.of(seed=3, density=density, wander=0)).take(6000)
    count = len(rises(made[0])) / (6000 / RATE)
    assert count == pytest.approx(density, rel=0.1)


def test_sounds_are_the_recorded_ones_until_they_end_then_they_sink() -> None:
    source = struck((20, 20),)
    made = Walk(source, RATE, Knobs.of(seed=1, density=0.5, wander=0)).take(1000)
    begin = rises(made[0])
    for at in begin[:-1]:
        first = made[1, at]
        assert first in (1, 21)
        room = 19 if first == 1 else 20
        np.testing.assert_array_equal(made[1, at:at + room], first + np.arange(room))
        after = made[0, at + room:at + room + 19]
        assert (np.diff(after) < 0).all() and made[0, at + 60] == -90  # down to the quietest moment, and no further


def test_any_split_gives_the_same_latents() -> None:
    source = struck((20, 20), (50,), (9,))
    knobs = Knobs.of(seed=5, density=3.0)
    whole, parts = Walk(source, RATE, knobs).take(500), Walk(source, RATE, knobs)
    assert np.array_equal(np.concatenate([parts.take(n) for n in (1, 0, 7, 64, 128, 300)], axis=1), whole)


def test_the_first_sound_is_near() -> None:
    source = struck((20, 20), (50,), (9, 30))
    for seed in range(8):
        made = Walk(source, RATE, Knobs.of(seed=seed, density=1.0, near="2", wander=0)).take(10)
        assert made[1, rises(made[0])[0]] in (92 + 1, 92 + 10)


def test_without_onsets_density_says_why_not() -> None:
    level = np.full(300, -20, np.float32)
    drone = Prior(np.zeros((2, 300), np.float32), np.array([0, 300]), ("a.wav",), np.zeros((2, 2), np.float32), level)
    for knobs in (Knobs.of(density=1.0), Knobs.of(density=1.0, mode="crossfade")):
        with pytest.raises(InvalidValue, match="none: nowhere does its level rise by 6 dB within 43 ms"):
            (Walk if knobs.mode == "walk" else Segments)(drone, RATE, knobs)
    both = struck((30,), (1,))
    both.level[31:] = -10
    with pytest.raises(InvalidValue, match=r"1\.wav has none"):
        Walk(both, RATE, Knobs.of(density=1.0, near="1"))


def test_crossfaded_segments_share_the_clock() -> None:
    """Where segments overlap, the sounds of both begin in the same frames."""
    source = struck((20, 20), (50,), (9,))
    knobs = Knobs.of(seed=2, mode="crossfade", density=5.0, segment=1.5, overlap=0.7, wander=0)
    cut = Cut.of(knobs, RATE)
    latents = Segments(source, RATE, knobs).take(cut.length * 30)
    begins = [set((i * cut.stride + rises(latents[0, i * cut.length:(i + 1) * cut.length])).tolist())
              for i in range(30)]
    shared = 0
    for i in range(29):
        overlap = range((i + 1) * cut.stride + 2, i * cut.stride + cut.length)
        assert begins[i] & set(overlap) == begins[i + 1] & set(overlap)
        shared += len(begins[i] & set(overlap))
    assert shared > 60


def test_a_sound_under_way_is_joined_in_the_middle() -> None:
    source = struck((60,))
    late = Struck(source, Onsets.of(source, RATE), RATE, (1,), iter([-17, 30, 60]))
    np.testing.assert_array_equal(late.take(5)[1], 1 + 17 + np.arange(5))
