"""The cache of spectrograms, and the statistics and crops that are read from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import distill_train.spectrograms as spectrograms
from distill.dsp import analyze
from distill.errors import FileError, InvalidValue, NumericError
from distill.spec import SpectrogramSpec
from distill_train.config import Recipe
from distill_train.corpus import scan
from distill_train.crops import CropSampler, change_level
from distill_train.plan import make_manifest, match_manifest
from distill_train.spectrograms import SpectrogramCache, analyze_in_segments, missing
from distill_train.split import held_out
from distill_train.statistics import Statistics, measure


@pytest.fixture
def cache(tmp_path: Path, spec: SpectrogramSpec) -> SpectrogramCache:
    cache = SpectrogramCache(tmp_path / "cache", spec, min_frames=64)
    cache.open(discard_others=False)
    return cache


def test_cached_frames_are_those_of_the_analysis(cache: SpectrogramCache, corpus: Path) -> None:
    recording = scan(corpus).recordings[0]
    source = cache.sources(recording)[0]
    assert not cache.path(recording.sha256).exists()
    frames = source.read(0, source.frames)
    import soundfile

    expected = analyze(soundfile.read(recording.path, dtype="float32")[0], cache.spec).transpose(2, 0, 1)
    assert frames.shape == expected.shape == (source.frames, 2, 64)
    np.testing.assert_allclose(frames, expected, atol=0.07)  # half precision
    np.testing.assert_array_equal(source.read(5, 9), frames[5:9])


def test_predicted_frames_are_right_for_every_pitch_and_short_files_are_padded(
    cache: SpectrogramCache, corpus: Path
) -> None:
    import soundfile

    soundfile.write(corpus / "click.wav", np.full(100, 0.5, np.float32), 44100)
    for recording in scan(corpus).recordings:
        for pitch in ("original", "up-0.75", "down-1.5"):
            (source,) = cache.sources(recording, pitch)
            assert source.frames == len(source.array()) >= 64


@pytest.mark.parametrize("rate", [16_000, 11_025])
def test_long_copies_come_in_pieces_without_seams(
    cache: SpectrogramCache, tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    steady = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(5 * rate + 7) / rate)
    soundfile.write(tmp_path / "long.wav", steady, rate)
    recording = scan(tmp_path / "long.wav").recordings[0]
    monkeypatch.setattr("distill_train.pieces.SECONDS", 1.0)
    assert len(cache.sources(recording)) == 1
    parts = cache.sources(recording, "up-1")
    assert len(parts) == 5
    arrays = [np.asarray(part.array(), np.float32) for part in parts]
    assert [len(array) for array in arrays] == [part.frames for part in parts]
    expected = 5 * 16_000 * 17 / 18 / 128
    assert sum(map(len, arrays)) == pytest.approx(expected, abs=10)
    inner = np.concatenate(arrays)[8:-8]
    loud = inner[:, 0].max(0) > -40
    assert np.ptp(inner[:, 0, loud], axis=0).max() < 0.3  # a steady tone stays steady across the cuts
    assert np.ptp(inner[:, 1, loud], axis=0).max() < 0.05


def test_a_second_run_analyses_nothing(
    cache: SpectrogramCache, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = scan(corpus).recordings
    originals = [cache.sources(recording)[0] for recording in recordings]
    for source in originals:
        source.array()
    assert not missing(originals)
    assert len(missing([*originals, *cache.sources(recordings[0], "up-1.5")])) == 1
    monkeypatch.setattr(spectrograms, "analyze", lambda *given: pytest.fail("analysed again"))
    again = SpectrogramCache(cache.folder, cache.spec, 64)
    again.open(discard_others=True)
    assert again.sources(recordings[0])[0].read(0, 1).shape == (1, 2, 64)


def test_another_spec_has_its_own_files(cache: SpectrogramCache, corpus: Path) -> None:
    recording = scan(corpus).recordings[0]
    path = cache.build(cache.sources(recording)[0].piece)
    other = SpectrogramCache(cache.folder, replace(cache.spec, n_mels=32), 64)
    other.open(discard_others=True)
    assert not path.exists()
    assert other.sources(recording)[0].read(0, 1).shape == (1, 2, 32)


def test_nothing_is_left_of_an_analysis_that_failed(
    cache: SpectrogramCache, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise KeyboardInterrupt

    recording = scan(corpus).recordings[0]
    monkeypatch.setattr(spectrograms, "analyze", fail)
    with pytest.raises(KeyboardInterrupt):
        cache.sources(recording)[0].array()
    assert not list(cache.folder.iterdir())


def test_a_recording_that_changed_meanwhile_is_an_error(cache: SpectrogramCache, corpus: Path) -> None:
    import soundfile

    recording = scan(corpus).recordings[0]
    soundfile.write(recording.path, np.zeros(10, np.float32), 16000)
    with pytest.raises(FileError, match="changed while"):
        cache.sources(recording)[0].array()


def test_threads_share_the_work(cache: SpectrogramCache, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = spectrograms.analyze
    monkeypatch.setattr(spectrograms, "analyze", lambda *given: (calls.append(1), real(*given))[1])
    recording = scan(corpus).recordings[0]
    threads = [threading.Thread(target=cache.build, args=(cache.sources(recording)[0].piece,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize("samples", [1, 127, 128, 129, 5000, 12_800])
def test_segments_join_to_the_whole(spec: SpectrogramSpec, samples: int) -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, samples).astype(np.float32)
    whole = analyze(audio, spec).transpose(2, 0, 1)
    parts = list(analyze_in_segments(audio, spec, segment=16))
    assert all(len(part) <= 16 for part in parts)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-3)


def test_statistics_equal_numpy() -> None:
    rng = np.random.default_rng(0)
    arrays = [(rng.normal((-100, 0.2), (20, 0.3), (n, 5, 2)).transpose(0, 2, 1)).astype(np.float32) for n in (3, 700)]
    stats = measure(arrays, block=64)
    joined = np.concatenate(arrays).astype(np.float64)
    np.testing.assert_allclose(stats.mean, joined.mean((0, 2)), rtol=1e-9)
    np.testing.assert_allclose(stats.std, joined.std((0, 2)), rtol=1e-7)
    normalised = stats.normalise(joined.astype(np.float32))
    np.testing.assert_allclose(normalised.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(stats.denormalise(normalised), joined, atol=1e-4)


def test_statistics_refuse_what_cannot_be_normalised() -> None:
    with pytest.raises(InvalidValue):
        measure([])
    with pytest.raises(NumericError):
        Statistics((0.0, 0.0), (1.0, 0.0))
    flat = measure([np.zeros((4, 2, 8), np.float32)])
    assert min(flat.std) > 0


@pytest.mark.parametrize(("files", "expected"), [(1, 0), (4, 0), (5, 1), (14, 1), (26, 3), (500, 50)])
def test_a_tenth_is_held_out(files: int, expected: int) -> None:
    hashes = [f"{index:064x}" for index in range(files)]
    chosen = held_out(hashes, seed=1)
    assert len(chosen) == expected
    assert chosen == held_out(hashes[::-1], seed=1)
    if expected > 2:
        assert chosen != held_out(hashes, seed=2)


def test_the_manifest_recognises_renamed_but_not_changed_recordings(corpus: Path) -> None:
    manifest = make_manifest(scan(corpus), seed=0)
    (corpus / "note0.wav").rename(corpus / "zz.wav")
    matched = match_manifest(scan(corpus), manifest)
    assert [recording.sha256 for recording in matched] == [file.sha256 for file in manifest]
    (corpus / "zz.wav").unlink()
    with pytest.raises(InvalidValue, match=r"1 missing or changed \(note0.wav\)"):
        match_manifest(scan(corpus), manifest)


class Ramp:
    """A source whose level tells the frame."""

    frames = 100

    def read(self, start: int, stop: int) -> np.ndarray:
        return np.tile(np.arange(start, stop, dtype=np.float32)[:, None, None], (1, 2, 3))


def sampler(**changes: float) -> Callable[[], torch.Tensor]:
    recipe = replace(Recipe(level_jitter_db=0.0), **changes)  # type: ignore[arg-type]
    crops = CropSampler([Ramp(), Ramp()], Statistics((0.0, 0.0), (1.0, 1.0)), recipe, floor_db=-200.0)
    generator = torch.Generator().manual_seed(3)
    return lambda: crops.batch(generator)


def test_crops_are_contiguous_repeatable_and_reach_both_ends() -> None:
    draw, again = sampler(batch_size=64), sampler(batch_size=64)
    batch = draw()
    assert batch.shape == (64, 2, 3, 64)
    torch.testing.assert_close(batch, again(), rtol=0, atol=0)
    starts = torch.cat([draw()[:, 0, 0, 0] for _ in range(4)])
    assert starts.min() == 0 and starts.max() == 36
    assert (starts == 0).float().mean() > 0.1  # the attack is seen often
    torch.testing.assert_close(batch[:, 0, 0], batch[:, 0, 0, :1] + torch.arange(64.0))


def test_level_changes_but_silence_stays() -> None:
    crop = np.zeros((1, 2, 4), np.float32)
    crop[0, 0] = (-100, -99, -50, 0)
    crop[0, 1] = (0.1, 0.2, 0.3, 0.4)
    for gain in (-3.0, 3.0):
        result = change_level(crop, gain, -100.0)
        np.testing.assert_allclose(result[0, 0], [-100, max(-99 + gain, -100), -50 + gain, gain])
        np.testing.assert_array_equal(result[0, 1], crop[0, 1])
    assert crop[0, 0, 3] == 0
