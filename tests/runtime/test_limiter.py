"""The limiter: a ceiling that holds, silence about everything under it, and the same bits however it is fed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from distill.limiter import CEILING_DB, Limiter

CEILING = np.float32(10 ** (CEILING_DB / 20))
RNG = np.random.default_rng(5)


def limited(audio: np.ndarray, sizes: list[int] | None = None, rate: int = 48_000) -> np.ndarray:
    limiter = Limiter(rate)
    edges = np.cumsum([0, *(sizes or [audio.shape[-1]])])
    assert edges[-1] == audio.shape[-1]
    parts = [limiter.push(audio[..., a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, limiter.flush()], axis=-1)


def bursts(samples: int, channels: int = 1) -> np.ndarray:
    audio = RNG.standard_normal((channels, samples)).astype(np.float32) * 0.1
    for start in RNG.integers(0, samples, 8):
        audio[:, start:start + 700] *= 30
    return audio if channels > 1 else audio[0]


@pytest.mark.parametrize("rate", [8_000, 48_000, 192_000])
def test_nothing_is_above_the_ceiling(rate: int) -> None:
    audio = bursts(100_000)
    assert np.abs(audio).max() > 5
    out = limited(audio, rate=rate)
    assert out.shape == audio.shape and np.abs(out).max() <= CEILING
    assert np.abs(out).max() > 0.99 * CEILING


def test_a_step_a_click_and_the_edges_are_held() -> None:
    for audio in (np.full(20_000, 3.0), np.r_[np.zeros(9_999), 50.0, np.zeros(9_999)], np.r_[4.0, np.zeros(5_000)],
                  np.r_[np.zeros(5_000), 4.0], np.array([7.0])):
        out = limited(audio.astype(np.float32))
        assert np.abs(out).max() <= CEILING and len(out) == len(audio)
        assert np.abs(out).max() == pytest.approx(CEILING, rel=1e-5)


def test_what_is_under_the_ceiling_is_not_touched() -> None:
    audio = np.clip(bursts(50_000), -CEILING, CEILING)
    assert np.array_equal(limited(audio), audio)


def test_a_peak_reaches_only_its_neighbourhood() -> None:
    audio = (0.3 * np.sin(np.arange(96_000) * 0.05)).astype(np.float32)
    audio[48_000] = 2.0
    out = limited(audio)
    ahead, back = 240 + 1, round(48_000 * 7.1 / 24) + 600  # 7.1 dB down, released at 24 dB per second
    assert np.array_equal(out[:48_000 - ahead], audio[:48_000 - ahead])
    assert np.array_equal(out[48_000 + back:], audio[48_000 + back:])
    gain = out[audio != 0] / audio[audio != 0]
    assert np.abs(np.diff(20 * np.log10(gain))).max() < 0.1  # dB from sample to sample: no step in the gain


@pytest.mark.parametrize("sizes", [[1] * 500 + [29_500], [4096, 4096, 21_808], [0, 7, 4095, 4097, 0, 21_801],
                                   [29_999, 1]])
def test_pieces_of_any_size_give_the_same_bits(sizes: list[int]) -> None:
    for audio in (bursts(30_000), bursts(30_000, 2)):
        assert np.array_equal(limited(audio, sizes), limited(audio))


def test_channels_share_one_gain() -> None:
    audio = bursts(30_000, 2)
    audio[1] = 0.25 * audio[0]
    out = limited(audio)
    np.testing.assert_allclose(out[1], 0.25 * out[0], rtol=1e-6)


def test_empty_and_reused() -> None:
    limiter = Limiter(48_000)
    assert limiter.flush().shape == (0,)
    audio = bursts(10_000)
    first = np.concatenate([limiter.push(audio), limiter.flush()])
    assert np.array_equal(np.concatenate([limiter.push(audio), limiter.flush()]), first)
