"""The window follows the corpus: partials get a long one, strokes a short one, and a flag overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec
from distill_train import window
from distill_train.config import SIZES, decoder_mmac_per_second, frames_per_latent, network_config, size_of
from distill_train.corpus import Recording, scan
from distill_train.options import Options
from distill_train.plan import wished_spec
from distill_train.prepare import prepare
from distill_train.progress import Progress
from distill_train.signals import StopRequest
from distill_train.window import WindowChoice, choose_window

RATE = 48_000


def chord(seconds: float = 1.0) -> NDArray[np.float32]:
    """Partials closer than a short window can keep apart."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.05 * sum(np.sin(2 * np.pi * f * t) for f in np.arange(200, 3200, 100))).astype(np.float32)


def strokes(seconds: float = 1.0) -> NDArray[np.float32]:
    """Eight dry bursts a second."""
    noise = 0.3 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return (noise * np.exp(-(np.arange(len(noise)) % 6000) / 200)).astype(np.float32)


def rain(seconds: float = 1.5) -> NDArray[np.float32]:
    """Steady noise: no partials to keep apart, and no strokes either."""
    return (0.1 * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def recordings(folder: Path, *sounds: NDArray[np.float32]) -> tuple[Recording, ...]:
    folder.mkdir(exist_ok=True)
    for index, sound in enumerate(sounds):
        soundfile.write(folder / f"{index}.wav", sound, RATE)
    return scan(folder).recordings


def test_partials_want_a_long_window_and_strokes_a_short_one(tmp_path: Path) -> None:
    long = choose_window(recordings(tmp_path / "a", chord(), chord(0.7)), RATE)
    short = choose_window(recordings(tmp_path / "b", strokes(), strokes(0.7)), RATE)
    steady = choose_window(recordings(tmp_path / "c", rain(), rain()), RATE)
    assert (long.n_fft, short.n_fft, steady.n_fft) == (2048, 1024, 2048)
    assert steady.growth < window.WORTH and steady.sounding > 1.2 * window.STEADY > 1.4 * short.sounding
    assert "partials" in str(long) and "strokes" in str(short) and "steady" in str(steady)
    assert long.growth > window.WORTH * 1.1 and short.growth < window.WORTH / 1.1
    assert f"{long.growth:.2f}" in str(long) and "2048 samples" in str(long) and "1024 samples" in str(short)


def test_level_and_silence_do_not_matter(tmp_path: Path) -> None:
    loud = choose_window(recordings(tmp_path / "a", strokes()), RATE).growth
    quiet = choose_window(recordings(tmp_path / "b", 0.01 * strokes()), RATE).growth
    assert quiet == pytest.approx(loud, rel=0.1)
    padded = np.concatenate([strokes(), np.zeros(20 * RATE, np.float32)])
    assert choose_window(recordings(tmp_path / "c", padded), RATE).growth == pytest.approx(loud, rel=0.1)


def test_only_a_bounded_part_of_a_large_corpus_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recordings(tmp_path / "a", *(strokes(20.0 + index) for index in range(8)))
    read: list[int] = []

    def counted(path: Path, start: int, stop: int) -> tuple[NDArray[np.float32], int]:
        read.append(stop - start)
        return window_read(path, start, stop)

    window_read = window.read_mono
    monkeypatch.setattr(window, "read_mono", counted)
    choose_window(found, RATE)
    assert len(read) <= window.EXCERPTS and max(read) <= 4 * RATE + 1


def test_bands_go_by_the_kind_of_sound() -> None:
    options = Options(Path(), Path())
    kinds = {choice.what: wished_spec(options, choice) for choice in map(
        WindowChoice, (1.0, 1.5, 1.0), (0.3, 0.9, 0.9))}
    assert {what: (spec.n_fft, spec.n_mels) for what, spec in kinds.items()} == {
        "strokes": (1024, 512), "partials": (2048, 384), "steady sounds": (2048, 640)}
    for spec in kinds.values():
        for size in SIZES:
            network = network_config(size, spec)
            fewer = network_config(size, spec, tuple(latents // 4 for latents in network.parts))
            enough = network_config(size, spec, fewer.parts, enough=True)
            assert {size_of(shape, spec, size) for shape in (network, fewer, enough)} == {size}
            assert 32 <= network.width <= fewer.width == SIZES[size].most.width
            assert (enough.width, enough.blocks) == SIZES[size].enough
            assert decoder_mmac_per_second(network, spec.frame_rate_hz) < SIZES[size].mmac


@pytest.mark.parametrize(("n_fft", "hop_length"), [(4096, 1024), (2048, 512), (2048, 256), (1024, 256), (512, 128)])
def test_latents_and_costs_stay_whatever_the_window(n_fft: int, hop_length: int) -> None:
    spec = wished_spec(Options(Path(), Path(), n_fft=n_fft, hop_length=hop_length))
    config = network_config("base", spec)
    assert spec.frame_rate_hz / config.frames_per_latent == pytest.approx(46.875)
    assert decoder_mmac_per_second(config, spec.frame_rate_hz) < 65
    assert config.frames_per_latent == frames_per_latent(spec.frame_rate_hz)


def test_training_takes_the_window_of_the_corpus_and_says_so(
    tmp_path: Path, small: Callable[..., Options], capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    recordings(tmp_path / "corpus", *(strokes(0.5) * gain for gain in (1.0, 0.9, 0.8, 0.7, 0.6)))

    def prepared(run: str, **changes: object) -> SpectrogramSpec:
        options = small(sample_rate=RATE, pitch_copies=0, steps=1, run=tmp_path / run, **changes)
        with StopRequest() as stop:
            result = prepare(options, None, Progress(sys.stderr), stop)
        crop, per_latent = result.facts.recipe.crop_frames, result.facts.network.frames_per_latent
        assert crop == 32 * per_latent
        return result.facts.spec

    for path in (tmp_path / "corpus").glob("note*"):
        path.unlink()
    chosen = prepared("a", n_fft=None, n_mels=None)
    assert (chosen.n_fft, chosen.hop_length, chosen.n_mels) == (1024, 256, 512)
    assert "window: 1024 samples" in capsys.readouterr().err
    told = prepared("b", n_fft=2048, n_mels=None)
    assert (told.n_fft, told.hop_length, told.n_mels) == (2048, 512, 384)
    assert "window:" not in capsys.readouterr().err
