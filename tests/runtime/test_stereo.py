"""Two channels: wide, never hollow, the mono sum unharmed, and the same bits however they are fed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from distill.binaural import HEAD_RADIUS_M, SOUND_M_PER_S, Head, ears
from distill.blockfilter import BlockFilter
from distill.errors import InvalidValue
from distill.stereo import SIDE, Widener, phase, together, widened

RATE = 48_000
RNG = np.random.default_rng(11)


def plucked(seconds: float = 4.0) -> np.ndarray:
    """Six decaying notes with partials: as unlike noise as a corpus can be."""
    time = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros(len(time))
    for index, frequency in enumerate((131, 220, 294, 392, 523, 880)):
        since = np.maximum(0, time - 0.6 * index)
        for partial in (1, 2, 3.01, 4.2):
            decay = np.exp(-3 * since * partial) * (since > 0) / partial
            sound += np.sin(2 * np.pi * frequency * partial * since) * decay
    return (0.2 * sound).astype(np.float32)


def wide(mid: np.ndarray, side: np.ndarray, width: float) -> np.ndarray:
    return np.concatenate(list(widened([mid], [side], RATE, width)), axis=1)


def db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64))))


def test_width_0_is_mono_bit_for_bit() -> None:
    mid, side = plucked(1), RNG.standard_normal(RATE).astype(np.float32)
    assert np.array_equal(wide(mid, side, 0), np.stack([mid, mid]))


@pytest.mark.parametrize("companion", ["same", "other"])
@pytest.mark.parametrize(("width", "low", "high"), [(0.5, 0.65, 0.95), (1, 0.15, 0.6), (2, -0.5, 0.15)])
def test_channels_differ_even_where_mid_and_side_do_not(companion: str, width: float, low: float, high: float) -> None:
    """Correlation of the channels: (1 - g^2) / (1 + g^2) with g = 0.7 width, if mid and side have nothing in common."""
    mid = plucked()
    side = mid if companion == "same" else np.roll(mid, 12_345)
    out = wide(mid, side, width)
    assert low < np.corrcoef(out)[0, 1] < high
    gain = (SIDE * width) ** 2
    assert companion == "other" or np.corrcoef(out)[0, 1] == pytest.approx((1 - gain) / (1 + gain), abs=0.15)
    assert abs(db(out[0]) - db(out[1])) < 1.5  # in the middle
    assert db(out) == pytest.approx(db(mid), abs=1.2)  # as loud as before


def test_the_mono_sum_is_the_mid() -> None:
    mid, side = plucked(), np.roll(plucked(), 777)
    for width in (0.3, 1, 2):
        out = wide(mid, side, width)
        scale = 1 / np.sqrt(1 + (SIDE * width) ** 2)
        np.testing.assert_allclose(out.mean(axis=0), mid * scale, atol=1e-6)
    assert db(wide(mid, mid, 1).mean(axis=0)) > db(wide(mid, mid, 1)) - 3


def test_a_side_is_not_louder_than_the_mid() -> None:
    mid = plucked()
    out = wide(mid, 10 * mid, 1)
    assert db(out.mean(axis=0)) > db(out) - 3 and db(out) == pytest.approx(db(wide(mid, mid, 1)), abs=1)
    assert np.abs(wide(0 * mid, mid, 1)).max() < 1e-3 * np.abs(mid).max()  # nothing but a side is nothing


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
def test_the_side_keeps_20_hz_to_20_khz(rate: int) -> None:
    impulse = np.zeros(rate, np.float32)
    impulse[rate // 2] = 1
    mid = (0.1 * RNG.standard_normal(rate)).astype(np.float32)  # louder than the side, which is then let through
    out = np.concatenate(list(widened([mid], [impulse], rate, 1)), axis=1)
    side = (out[0] - out[1]) / np.float32(2 * SIDE / np.hypot(1, SIDE))
    gain = 20 * np.log10(np.abs(np.fft.rfft(side)))
    assert np.abs(gain[20:min(20_000, round(0.48 * rate))]).max() < 1.0  # dB
    assert np.abs(side[:rate // 2 - round(0.031 * rate)]).max() < 1e-6  # nothing earlier than the filter's reach


def test_phase_is_at_right_angles_most_of_the_time() -> None:
    angle = phase(np.linspace(50, 20_000, 100_000), RATE)
    assert np.mean(np.abs(np.cos(angle))) < 0.45  # a straight line has 2 / pi = 0.64
    assert abs(np.mean(np.cos(angle))) < 0.05 and abs(np.mean(np.sin(angle))) < 0.05
    assert np.sin(phase(np.array([RATE / 2]), RATE)) == pytest.approx(0, abs=1e-9)  # a real filter


@pytest.mark.parametrize("sizes", [[1] * 300 + [29_700], [2048, 27_952], [0, 5_000, 1, 0, 24_999]])
def test_pieces_of_any_size_give_the_same_bits(sizes: list[int]) -> None:
    mid, side = plucked(1)[:30_000], RNG.standard_normal(30_000).astype(np.float32)
    edges = [0, *itertools.accumulate(sizes)]
    for make in (lambda: Widener(RATE, 1.0), lambda: Head(RATE, 20, 0, 1), lambda: Head(RATE, -60, 45, 0.5)):
        results = []
        for cuts in (edges, [0, 30_000]):
            stage, parts = make(), []
            for a, b in itertools.pairwise(cuts):
                parts.append(stage.push(mid[a:b], side[a:b]) if isinstance(stage, Widener)
                             else stage.push(np.stack([mid, side])[:, a:b]))
            results.append(np.concatenate([*parts, stage.flush()], axis=1))
        assert results[0].shape == (2, 30_000) and np.array_equal(*results)


@pytest.mark.parametrize("samples", [0, 1, 255, 5_000])
def test_short_sounds_keep_their_length(samples: int) -> None:
    mid = plucked(1)[:samples]
    assert wide(mid, mid, 1).shape == (2, samples)
    head = Head(RATE, 0, 10, 1)
    assert np.concatenate([head.push(np.stack([mid, mid])), head.flush()], axis=1).shape == (2, samples)


def test_together_cuts_to_equal_pieces() -> None:
    a, b = np.arange(10, dtype=np.float32), np.arange(8, dtype=np.float32) + 100
    pairs = list(together([a[:3], a[3:3], a[3:]], [b[:1], b[1:5], b[5:]]))
    assert all(len(x) == len(y) for x, y in pairs)
    assert np.array_equal(np.concatenate([x for x, _ in pairs]), a[:8])
    assert np.array_equal(np.concatenate([y for _, y in pairs]), b)


def test_block_filter_is_the_convolution() -> None:
    audio = RNG.standard_normal((2, 5_000)).astype(np.float32)
    taps = RNG.standard_normal((2, 2, 40))
    expected = np.stack([sum(np.convolve(audio[i], taps[o, i])[:5_000] for i in range(2)) for o in range(2)])
    response = np.fft.rfft(taps, 1024).astype(np.complex64)
    for given in (response, lambda frame: response):
        out = BlockFilter(256, 1024, given)
        np.testing.assert_allclose(np.concatenate([out.push(audio), out.flush()], axis=1), expected, atol=2e-4)
    with pytest.raises(InvalidValue, match="size"):
        BlockFilter(256, 128, response)


def heard(azimuth: float, audio: np.ndarray, turn: float = 0.0, width: float = 0.0) -> np.ndarray:
    head = Head(RATE, azimuth, turn, width)
    return np.concatenate([head.push(np.stack([audio, audio])), head.flush()], axis=1)


@pytest.mark.parametrize("azimuth", [0, 30, 60, 90, -45, 180])
def test_ears_hear_a_delay_and_a_shadow(azimuth: float) -> None:
    """The delay between the ears is (a / c) (theta + sin theta) for ears opposite each other (Woodworth)."""
    noise = (0.1 * RNG.standard_normal(RATE)).astype(np.float32)
    left, right = heard(azimuth, noise)
    lags = np.arange(-60, 61)
    delay = lags[np.argmax([np.dot(left[100:-100], np.roll(right, lag)[100:-100]) for lag in lags])] / RATE
    angle = np.arcsin(np.sin(np.radians(azimuth)))
    assert delay == pytest.approx(HEAD_RADIUS_M / SOUND_M_PER_S * (angle + np.sin(angle)), abs=7e-5)
    difference = db(right) - db(left)
    assert np.sign(round(difference, 2)) == np.sign(round(np.sin(np.radians(azimuth)), 9))
    assert azimuth != 90 or difference > 8


def test_low_notes_stay_as_loud_and_high_ones_are_there() -> None:
    frequency = np.array([20.0, 100.0, 20_000.0])
    level = 20 * np.log10(np.abs(ears(frequency, np.array([0.0, 90.0]))))
    assert np.abs(level[:, :, 0]).max() < 0.5 and np.abs(level[:, :, 1]).max() < 1.5
    assert level[1, 1, 2] > 3 and level[0, 1, 2] > -26
    sweep = heard(25, np.r_[np.zeros(999), 1, np.zeros(RATE - 1000)].astype(np.float32))
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(sweep, axis=1)))
    assert spectrum[:, 20:20_000].min() > -16  # the shadow, not a cut


def test_a_moving_source_moves_without_clicks() -> None:
    tone = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(4 * RATE) / RATE)).astype(np.float32)
    left, right = heard(-90, tone, turn=45)
    start, end = slice(2400, 12_000), slice(-12_000, -2400)
    assert db(left[start]) - db(right[start]) > 3 and db(right[end]) - db(left[end]) > 3
    for ear in (left, right):
        spectrum = np.abs(np.fft.rfft(ear * np.hanning(len(ear))))
        assert max(spectrum[:3600].max(), spectrum[4400:].max()) < 1e-3 * spectrum.max()
