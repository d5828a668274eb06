"""A loop played twice has no seam: not in the samples, not in level, not in the spectrum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import distill
from distill import dsp
from distill.knobs import Knobs
from distill.loop import loop_at_rate, sealed
from distill.render import render
from distill.spec import SpectrogramSpec


@pytest.fixture(scope="module")
def model(tiny: Path) -> distill.Model:
    return distill.load(tiny, device="cpu")


def frames_of(sound: np.ndarray, size: int = 512) -> np.ndarray:
    """Magnitudes [frames, bins] every quarter of `size`; frame i begins at sample i * size / 4."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, size)[::size // 4]
    return np.abs(np.fft.rfft(windows * np.hanning(size), axis=1))


def assert_no_seam(loop: np.ndarray, size: int = 512) -> None:
    """Across the seam of the loop, played twice, nothing moves more than it does inside."""
    twice = np.concatenate([loop, loop])
    step = np.abs(np.diff(twice))
    assert step[len(loop) - 1] <= step[:len(loop) - 1].max()
    magnitudes = frames_of(twice, size)
    floor = 1e-3 * magnitudes.max()
    levels = 20 * np.log10(magnitudes + floor)
    flux = np.maximum(np.diff(levels, axis=0), 0).mean(axis=1)
    energy = np.abs(np.diff(10 * np.log10((magnitudes ** 2).sum(axis=1) + floor ** 2)))
    start = np.arange(len(flux)) * (size // 4)
    seam = (start < len(loop)) & (start + size * 5 // 4 > len(loop))
    inside = start + size * 5 // 4 <= len(loop)
    for change in (flux, energy):
        # the largest change of a steady sound is a matter of chance: allow its spread
        assert change[seam].max() <= max(change[inside].max(), np.percentile(change[inside], 75) * 1.5 + 0.3)


SETTINGS: list[dict[str, Any]] = [
    {}, {"wander": 0.0, "seed": 4}, {"mode": "crossfade"}, {"mode": "interpolate"},
    {"mode": "vector", "evolution": 0.0}, {"mode": "vector", "evolution": 1.0}, {"quality": "fast"},
    {"quality": "high"}, {"loudness": "model"}]


@pytest.mark.parametrize("knobs", SETTINGS)
@pytest.mark.parametrize("seconds", [0.5, 1.2345, 3.0])
def test_the_end_meets_the_beginning(model: distill.Model, knobs: dict[str, Any], seconds: float) -> None:
    loop = model.generate(seconds, loop=True, **{"seed": 1, **knobs})
    assert loop.shape == (round(seconds * model.sample_rate),) and np.isfinite(loop).all()
    assert_no_seam(loop)


def test_a_loop_of_events_keeps_their_rate_through_the_seam(model: distill.Model) -> None:
    """An attack may fall on the seam, so it is counted: three turns of a loop have three times its attacks."""
    counts = []
    for seed in range(6):
        loop = model.generate(4.0, loop=True, seed=seed, density=4.0)
        size = 160
        power = np.square(np.tile(loop, 3)).reshape(-1, size).mean(axis=1)
        level = 10 * np.log10(np.convolve(power, [0.5, 0.5], "same") + 1e-12)
        rises = np.flatnonzero(level[4:] - np.minimum(level[:-4], level[1:-3]) >= 6)
        begins = rises[np.diff(rises, prepend=-100) > 6]
        counts.append(len(begins) / 12)
    assert np.mean(counts) == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_streamed_loop_is_the_same(model: distill.Model, channels: int) -> None:
    whole = model.generate(1.3, loop=True, seed=3, channels=channels)
    for block in (37, 512, 100_000):
        blocks = list(model.stream(1.3, loop=True, seed=3, block=block, channels=channels))
        assert np.array_equal(np.concatenate(blocks, axis=-1), whole)
    if channels == 2:
        for channel in whole:
            assert_no_seam(channel)


class Tones:
    """A voice of steady tones, whose phases at the end of a loop are not those at its beginning."""

    spec = SpectrogramSpec(sample_rate=16_000, n_fft=512, hop_length=128, n_mels=128, floor_db=-120)
    sample_rate, gain_db = 16_000, 0.0
    frequencies = (217.3, 331.9, 508.7, 1203.1, 2511.7)

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[np.ndarray]:
        assert frames is not None
        time = np.arange((frames + 20) * 128) / 16_000
        chord = sum(0.1 * np.sin(2 * np.pi * f * time) for f in self.frequencies)
        whole = dsp.analyze(np.asarray(chord, np.float32), self.spec)[:, :, 10:]
        for start in range(0, frames, 33):
            yield whole[:, :, start:start + 33]


@pytest.mark.parametrize("seconds", [0.51, 0.777, 2.0, 3.3333])
def test_tones_go_through_the_seam_whole(seconds: float) -> None:
    """Turning the phases keeps every partial at its level and pitch; a plain crossfade would cancel some."""
    loop = np.concatenate(list(render(Tones(), Knobs.of(loop=True, loudness="model"), seconds)))
    twice = np.concatenate([loop, loop, loop])
    size = 1024
    windows = np.lib.stride_tricks.sliding_window_view(twice, size)[::64] * np.hanning(size)
    time = np.arange(size) / 16_000
    for frequency in Tones.frequencies:
        level = 20 * np.log10(np.abs(windows @ np.exp(-2j * np.pi * frequency * time)) / (0.05 * size / 2))
        assert np.ptp(level) < 2.0, frequency


def test_the_check_would_notice() -> None:
    """A loop with a millisecond missing has a seam, and so has the same sound if it is not looped."""
    loop = np.concatenate(list(render(Tones(), Knobs.of(loop=True, loudness="model"), 2.0)))
    plain = np.concatenate(list(render(Tones(), Knobs.of(loudness="model"), 2.0)))
    assert_no_seam(loop)
    for spoilt in (loop[:-16], loop[16:], plain, plain[1000:-1000]):
        with pytest.raises(AssertionError):
            assert_no_seam(spoilt)


def test_noise_keeps_its_power_through_the_seam() -> None:
    rng = np.random.default_rng(0)
    lead, total = 11_200, 32_000
    sound = rng.standard_normal(lead + total + lead).astype(np.float32)
    loop = np.concatenate(list(sealed(iter(np.array_split(sound, 23)), total, 16_000)))
    assert np.array_equal(loop[:20_000], sound[lead:lead + 20_000])
    assert np.abs(loop[-120:] - sound[lead - 120:lead]).max() < 1e-5  # the end is what came before the beginning
    power = np.square(loop[-7000:]).reshape(-1, 1000).mean(axis=1)
    assert np.abs(10 * np.log10(power)).max() < 1.0


@pytest.mark.parametrize("seconds", [0.49, 600.5])
def test_what_cannot_be_a_loop(model: distill.Model, seconds: float) -> None:
    with pytest.raises(distill.InvalidValue, match=f"seconds is {seconds}.*from 0.5 to 600"):
        model.generate(seconds, loop=True)
    with pytest.raises(distill.InvalidValue, match="loop needs seconds"):
        model.stream(loop=True)


@pytest.mark.parametrize(("samples", "target"), [(48_000, 44_100), (59_256, 54_441), (8_000, 8_001), (9_000, 3_000)])
def test_a_loop_at_another_rate_is_one_too(samples: int, target: int) -> None:
    cycles = samples // 100
    made = loop_at_rate(np.sin(2 * np.pi * cycles * np.arange(samples) / samples).astype(np.float32), target)
    np.testing.assert_allclose(made, np.sin(2 * np.pi * cycles * np.arange(target) / target), atol=1e-5)
    pair = loop_at_rate(np.stack([np.zeros(samples), np.ones(samples)]).astype(np.float32), target)
    np.testing.assert_allclose(pair, np.stack([np.zeros(target), np.ones(target)]), atol=1e-5)


def test_a_looped_file_at_another_rate(run: Any, tiny: Path, tmp_path: Path) -> None:
    for name, rate in (("a", 16_000), ("b", 22_050)):
        result = run("distill", "generate", tiny, "-o", tmp_path / f"{name}.wav", "--loop", "--seconds", 1.5, "--seed",
                     2, "--sample-rate", rate, "--bit-depth", "float")
        assert result.returncode == 0, result.stderr
        sound, _ = soundfile.read(tmp_path / f"{name}.wav")
        assert len(sound) == round(1.5 * rate)
        assert_no_seam(sound)
    result = run("distill", "generate", tiny, "-o", "-", "--loop", "--endless", "--raw")
    assert result.returncode == 2 and "loop needs seconds" in result.stderr
