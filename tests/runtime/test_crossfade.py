"""Segments as a stream: the same bits as overlap_add, in constant memory, and clean tones where they overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from distill import dsp
from distill.crossfade import crossfaded, segmented
from distill.spec import SpectrogramSpec


def random_spectrogram(frames: int, bands: int = 33) -> np.ndarray:
    rng = np.random.default_rng(frames)
    return np.stack([rng.uniform(-140, 0, (bands, frames)), rng.uniform(-1.5, 1.5, (bands, frames))]).astype(np.float32)


def pieces_of(whole: np.ndarray, size: int) -> list[np.ndarray]:
    return [whole[..., i:i + size] for i in range(0, whole.shape[-1], size)]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize(("length", "overlap", "total"), [
    (100, 30, 970), (100, 50, 777), (128, 1, 500), (60, 20, 15), (60, 20, 60), (20, 10, 200), (50, 12, 83)])
def test_equals_overlap_add(length: int, overlap: int, total: int, size: int) -> None:
    whole = random_spectrogram(total)
    segments = [np.concatenate(list(part), axis=2) for part in segmented(pieces_of(whole, size), length)]
    assert np.array_equal(np.concatenate(segments, axis=2), whole)
    assert {part.shape[2] for part in segments[:-1]} <= {length}
    streamed = np.concatenate(list(crossfaded(segmented(pieces_of(whole, size), length), length, overlap)), axis=2)
    assert np.array_equal(streamed, dsp.overlap_add(segments, overlap)[0])


def test_a_last_segment_may_be_shorter_than_its_fade() -> None:
    whole = random_spectrogram(65)
    streamed = np.concatenate(list(crossfaded(segmented([whole], 60), 60, 20)), axis=2)
    padded = dsp.overlap_add([whole[:, :, :60], np.concatenate([whole[:, :, 60:], whole[:, :, :40]], axis=2)], 20)[0]
    assert np.array_equal(streamed, padded[:, :, :45])


def test_nothing_is_made_before_it_is_wanted_and_little_is_kept() -> None:
    made = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal made
        while True:
            made += 8
            yield random_spectrogram(8)

    ahead = 0
    given = 0
    for piece in itertools.islice(crossfaded(segmented(endless(), 100), 100, 30), 500):
        given += piece.shape[2]
        consumed = given + 30 * (given // 70)  # the overlaps are made twice
        ahead = max(ahead, made - consumed)
    assert given > 2000 and ahead <= 30 + 30 + 16


def test_tones_neither_smear_nor_sag_in_the_overlap() -> None:
    """One tone fades into another: each keeps its frequency to 2 cents and the levels follow the power law."""
    spec = SpectrogramSpec(sample_rate=16_000, n_fft=512, hop_length=128, n_mels=128, floor_db=-120)
    time = np.arange(16_000) / 16_000
    low, high = (dsp.analyze((0.5 * np.sin(2 * np.pi * f * time)).astype(np.float32), spec) for f in (440.0, 620.0))
    frames = 100
    joined = np.concatenate(list(crossfaded([[low[:, :, 10:10 + frames]], [high[:, :, 10:10 + frames]]], frames, 60)),
                            axis=2)
    sound = dsp.synthesize(joined, spec)
    for frequency, region in ((440.0, slice(40, 68)), (620.0, slice(72, 100))):
        part = sound[region.start * 128:region.stop * 128]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
        peak = spectrum.argmax() * 16_000 / (1 << 18)
        assert abs(1200 * np.log2(peak / frequency)) < 2
    power = np.convolve(sound ** 2, np.ones(1280) / 1280, "same")[15 * 128:-15 * 128]
    assert 10 * np.log10(power.max() / power.min()) < 1.0
