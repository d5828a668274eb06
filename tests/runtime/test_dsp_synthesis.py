"""Spectrogram to sound: quality, level, silence, streams, and bad input."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.dsp import Synthesizer, analyze, istft, stft, synthesize
from distill.dsp.axis import axis
from distill.dsp.phase import decide
from distill.errors import InvalidValue, NumericError
from distill.spec import SpectrogramSpec

SPEC = SpectrogramSpec(sample_rate=44_100)
SMALL = SpectrogramSpec(n_fft=1024, hop_length=256, n_mels=256)
DENSE = SpectrogramSpec(n_fft=1024, hop_length=128, n_mels=160)
QUALITIES = ["fast", "balanced", "high"]
SMALL_ERROR = np.array([0.01, 0.001], np.float32)[:, None, None]  # dB, units of channel 1
CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "demo" / "vibraphone"


@lru_cache
def note(name: str = "vibes_0442.42Hz.flac", seconds: float = 1.5) -> np.ndarray:
    """A recorded note, mono, at its own level."""
    data, rate = soundfile.read(CORPUS / name, dtype="float32", always_2d=True)
    assert rate == SPEC.sample_rate
    return data[: int(seconds * rate)].mean(axis=1)


@lru_cache
def hits() -> np.ndarray:
    """Three decaying noise bursts."""
    random = np.random.default_rng(5)
    sound = np.zeros(30_000, np.float32)
    for start in (3000, 12_345, 20_000):
        sound[start : start + 6000] += random.normal(size=6000) * np.exp(-np.arange(6000) / 800) * 0.2
    return sound


def lsd(reference: np.ndarray, sound: np.ndarray) -> float:
    """Log-spectral distance in dB, 80 dB under the reference's peak."""
    a, b = np.abs(stft(reference, SPEC)), np.abs(stft(sound, SPEC))
    floor = a.max() * 1e-4
    return float(np.sqrt(((20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))) ** 2).mean(axis=0)).mean())


def convergence(reference: np.ndarray, sound: np.ndarray) -> float:
    a, b = np.abs(stft(reference, SMALL)), np.abs(stft(sound, SMALL))
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def griffin_lim(spectrogram: np.ndarray, spec: SpectrogramSpec, iterations: int, length: int) -> np.ndarray:
    """The reference: magnitudes by the transposed filterbank, random phase, plain iterations; channel 1 unused."""
    bank = axis(spec).filterbank
    power = (bank / bank.sum(axis=0)).T @ 10 ** (spectrogram[0] / 10)
    magnitude = np.sqrt(power)
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, magnitude.shape)
    spectrum = magnitude * np.exp(1j * angle)
    for _ in range(iterations):
        projected = stft(istft(spectrum, spec, length=length), spec)
        spectrum = magnitude * projected / np.maximum(np.abs(projected), 1e-9)
    return istft(spectrum, spec, length=length)


@pytest.mark.parametrize("sound", [note(), note("vibes_0190.24Hz.flac"), hits()], ids=["note", "low note", "hits"])
def test_quality_against_griffin_lim(sound: np.ndarray) -> None:
    spectrogram = analyze(sound, SPEC)
    reference = griffin_lim(spectrogram, SPEC, 16, len(sound))
    distance, error = lsd(sound, reference), convergence(sound, reference)
    results = [synthesize(spectrogram, SPEC, quality, length=len(sound)) for quality in QUALITIES]
    distances = [lsd(sound, result) for result in results]
    errors = [convergence(sound, result) for result in results]
    factor = 0.97 if sound is hits() else 0.8  # of noise there is little to know
    assert distances[1] < factor * distance and errors[1] < 0.85 * error, (distances, distance, errors, error)
    assert distances[2] < distances[1] < distances[0], distances
    assert errors[2] < errors[0] and errors[1] < errors[0], errors


def test_a_note_survives() -> None:
    spectrogram = analyze(note(), SPEC)
    for quality, worst_lsd, worst_convergence in [("fast", 1.5, 0.1), ("balanced", 1.0, 0.06), ("high", 0.8, 0.04)]:
        result = synthesize(spectrogram, SPEC, quality, length=len(note()))
        assert lsd(note(), result) < worst_lsd, quality
        assert convergence(note(), result) < worst_convergence, quality


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("sound", [note(), hits()], ids=["note", "hits"])
def test_level_and_peak_come_back(sound: np.ndarray, quality: str) -> None:
    result = synthesize(analyze(sound, SPEC), SPEC, quality, length=len(sound))
    ratio = np.sqrt(np.mean(result**2) / np.mean(sound**2))
    noisy = sound is hits()
    assert abs(20 * np.log10(ratio)) < (0.3 if quality != "fast" else 2.5 if noisy else 0.6)
    assert np.abs(result).max() < (1.7 if noisy else 1.2) * np.abs(sound).max()


@pytest.mark.parametrize("quality", QUALITIES)
def test_sine_keeps_level_and_frequency(quality: str) -> None:
    sound = (0.5 * np.sin(2 * np.pi * 997 * np.arange(44_100) / 44_100)).astype(np.float32)
    result = synthesize(analyze(sound, SPEC), SPEC, quality, length=len(sound))
    middle = slice(8000, -8000)
    assert 20 * np.log10(result[middle].std() / sound[middle].std()) == pytest.approx(0, abs=0.3)
    windowed = np.hanning(len(sound[middle]))
    peaks = [np.argmax(np.abs(np.fft.rfft(x[middle] * windowed, 1 << 18))) for x in (sound, result)]
    assert abs(1200 * np.log2(peaks[1] / peaks[0])) < 1


@pytest.mark.parametrize("quality", QUALITIES)
def test_quiet_recordings_survive_as_well_as_loud_ones(quality: str) -> None:
    for sound in (note(), hits()):
        distances = []
        for peak_db in (-3, -40):
            scaled = sound / np.abs(sound).max() * np.float32(10 ** (peak_db / 20))
            distances.append(lsd(scaled, synthesize(analyze(scaled, SPEC), SPEC, quality, length=len(sound))))
        assert abs(distances[0] - distances[1]) < 0.2, distances


@pytest.mark.parametrize("quality", QUALITIES)
def test_silence_stays_silent(quality: str) -> None:
    spectrogram = analyze(np.zeros(20_000), SPEC)
    spectrogram[1] = np.random.default_rng(0).uniform(-1.5, 1.5, spectrogram[1].shape)
    assert np.abs(synthesize(spectrogram, SPEC, quality)).max() < 1e-7
    below = np.full_like(spectrogram, -1000.0)
    below[1] = 0
    assert np.abs(synthesize(below, SPEC, quality)).max() < 1e-7

    sound = np.concatenate([note()[:20_000], np.zeros(30_000, np.float32)])
    result = synthesize(analyze(sound, SPEC), SPEC, quality, length=len(sound))
    assert np.abs(result[30_000:]).max() < 1e-6


def test_click_stays_in_its_place() -> None:
    sound = np.zeros(20_000, np.float32)
    sound[9001] = 1
    for quality in QUALITIES:
        result = synthesize(analyze(sound, SPEC), SPEC, quality, length=len(sound))
        energy = np.cumsum(result**2) / np.sum(result**2)
        assert abs(int(np.searchsorted(energy, 0.5)) - 9001) < SPEC.hop_length
        assert np.abs(result).max() < 1.2


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("spec", [SPEC, SMALL, DENSE], ids=["2048/512", "1024/256", "1024/128"])
def test_few_frames_and_lengths(quality: str, spec: SpectrogramSpec) -> None:
    whole = analyze(hits()[2500:9000], spec)
    for frames in (0, 1, 2, 3, 5, 9):
        result = synthesize(whole[:, :, :frames], spec, quality)
        assert result.dtype == np.float32 and result.shape == (max(0, frames - 1) * spec.hop_length,)
        assert np.isfinite(result).all()
    for samples in (0, 1, spec.hop_length - 1, spec.hop_length, spec.hop_length + 1):
        sound = hits()[3000 : 3000 + samples]
        assert len(synthesize(analyze(sound, spec), spec, quality, length=samples)) == samples
    full = synthesize(whole, spec, quality)
    np.testing.assert_array_equal(synthesize(whole, spec, quality, length=1000), full[:1000])
    longer = synthesize(whole, spec, quality, length=len(full) + 10)
    np.testing.assert_array_equal(longer[: len(full)], full)
    assert not longer[len(full) :].any()


def pushes(frames: int, pattern: list[int]) -> list[int]:
    """`pattern` repeated until it has covered `frames`."""
    sizes: list[int] = []
    while sum(sizes) < frames:
        sizes.append(min(pattern[len(sizes) % len(pattern)], frames - sum(sizes)))
    return sizes


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize("pattern", [[1], [2], [7], [16], [63], [64], [65], [97], [0, 1, 0, 3, 64, 5], [1000]], ids=str)
@pytest.mark.parametrize("spec", [SPEC, DENSE], ids=["2048/512", "1024/128"])
def test_stream_equals_one_shot_bit_for_bit(quality: str, pattern: list[int], spec: SpectrogramSpec) -> None:
    spectrogram = np.concatenate([analyze(hits(), spec), analyze(note()[:30_000], spec)], axis=2)[:, :, :140]
    expected = synthesize(spectrogram, spec, quality)
    stream = Synthesizer(spec, quality)
    for _ in range(2):  # flush starts over
        parts, done, given = [], 0, 0
        for size in pushes(spectrogram.shape[2], pattern):
            parts.append(stream.push(spectrogram[:, :, given : given + size]))
            given, done = given + size, done + len(parts[-1])
            assert done == max(0, given - stream.latency_frames) * spec.hop_length
        parts.append(stream.flush())
        np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize("frames", range(12))
def test_short_streams_equal_one_shot(quality: str, frames: int) -> None:
    spectrogram = analyze(hits()[2500:12_000], SPEC)[:, :, :frames]
    expected = synthesize(spectrogram, SPEC, quality)
    for size in (1, 3):
        stream = Synthesizer(SPEC, quality)
        parts = [stream.push(spectrogram[:, :, i : i + size]) for i in range(0, frames, size)] + [stream.flush()]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_decisions_do_not_depend_on_the_frames_beside() -> None:
    """Frames lie in one line: where one ends and the next begins, nothing may come of it, peaks or not."""
    levels = np.random.default_rng(0).normal(size=(40, SMALL.n_mels)).cumsum(axis=0).astype(np.float32)
    levels[3:5], levels[5:7], levels[20] = np.linspace(-9, 50, SMALL.n_mels), np.linspace(9, -50, SMALL.n_mels), -8
    whole = decide(levels, 0, SMALL)
    for frame in range(len(levels)):
        alone = decide(levels[max(0, frame - 1) : frame + 1], min(frame, 1), SMALL)
        first, last = whole.first_seed[frame : frame + 2]
        np.testing.assert_array_equal(alone.band, whole.band[first:last])
        fresh = whole.fresh[(whole.fresh >= first) & (whole.fresh < last)]
        np.testing.assert_array_equal(alone.fresh, fresh - first)
        for ours, theirs, size in ((alone.from_band, whole.from_band, SMALL.n_mels),
                                   (alone.from_bin, whole.from_bin, SMALL.n_bins)):
            np.testing.assert_array_equal(ours + frame * size, theirs[first : last + 1])
    bare = [whole.band[whole.first_seed[frame] : whole.first_seed[frame + 1]].tolist() for frame in (4, 6)]
    assert bare == [[SMALL.n_mels - 1], [0]]  # the loudest band


@pytest.mark.parametrize("quality", QUALITIES)
def test_decisions_of_another_spectrogram(quality: str) -> None:
    sound = 0.1 * np.random.default_rng(5).normal(size=30_000).astype(np.float32)  # noise: most choices are close
    exact = analyze(sound, SPEC)
    rounded = exact + np.random.default_rng(0).normal(size=exact.shape).astype(np.float32) * SMALL_ERROR
    result = synthesize(exact, SPEC, quality)
    np.testing.assert_array_equal(synthesize(exact, SPEC, quality, decisions_from=exact), result)
    tied = synthesize(rounded, SPEC, quality, decisions_from=exact)
    free = synthesize(rounded, SPEC, quality)

    def error(other: np.ndarray) -> float:
        return float(np.linalg.norm(other - result) / np.linalg.norm(result))

    assert error(tied) < 0.2 and error(tied) < 0.5 * error(free), (error(tied), error(free))
    if quality != "high":
        stream = Synthesizer(SPEC, quality)
        parts = [stream.push(rounded[:, :, i : i + 9], exact[:, :, i : i + 9]) for i in range(0, exact.shape[2], 9)]
        np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), tied)


@pytest.mark.parametrize("sound", [note(), hits()], ids=["note", "hits"])
def test_errors_of_a_network_cost_in_proportion(sound: np.ndarray) -> None:
    spectrogram = analyze(sound, SPEC)
    error = np.random.default_rng(0).normal(size=spectrogram.shape)
    clean = convergence(sound, synthesize(spectrogram, SPEC, length=len(sound)))
    for level_db, deviation, most in [(0.5, 0.03, 0.05), (1.0, 0.03, 0.08), (0.0, 0.03, 0.03)]:
        noisy = spectrogram + error * np.array([level_db, deviation])[:, None, None]
        assert convergence(sound, synthesize(noisy, SPEC, length=len(sound))) < clean + most


def test_a_partial_between_two_bins_keeps_its_level() -> None:
    """Two bins of nearly one level, each a little louder at times, are one partial and not two that cancel."""
    spec = SpectrogramSpec(n_mels=256)
    note = 0.25 * np.sin(2 * np.pi * 34.5 * spec.sample_rate / spec.n_fft * np.arange(96_000) / spec.sample_rate)
    spectrogram = analyze(note.astype(np.float32), spec)[:, :, 8:-8]  # its ends are no partials
    spectrogram[0] += np.random.default_rng(5).normal(0, 0.3, spectrogram[0].shape)  # dB, as of a network
    sound = synthesize(spectrogram, spec, "fast")
    levels = 10 * np.log10(np.square(sound[4800:76_800].reshape(-1, 4800)).mean(axis=1) / np.square(note).mean())
    assert np.abs(levels).max() < 0.7


def test_absurd_levels_stay_finite() -> None:
    spectrogram = np.zeros((2, SPEC.n_mels, 20), np.float32)
    spectrogram[0], spectrogram[1] = 1e6, 1e6
    for quality in QUALITIES:
        assert np.isfinite(synthesize(spectrogram, SPEC, quality)).all()


def test_wrong_input_is_refused() -> None:
    good = np.zeros((2, SPEC.n_mels, 5), np.float32)
    for shape in [(2, 100, 5), (1, SPEC.n_mels, 5), (SPEC.n_mels, 5), (1, 2, SPEC.n_mels, 5)]:
        with pytest.raises(InvalidValue, match=r"\(2, 384, frames\)") as caught:
            synthesize(np.zeros(shape, np.float32), SPEC)
        assert str(shape) in str(caught.value)
    with pytest.raises(InvalidValue, match="floating point"):
        synthesize(good.astype(np.int16), SPEC)
    with pytest.raises(InvalidValue, match="'best'.*fast, balanced, high"):
        synthesize(good, SPEC, "best")
    with pytest.raises(InvalidValue, match="whole file"):
        Synthesizer(SPEC, "high")
    with pytest.raises(InvalidValue, match="4 frames.*5"):
        synthesize(good, SPEC, decisions_from=good[:, :, :4])
    with pytest.raises(InvalidValue, match="length"):
        synthesize(good, SPEC, length=-5)
    for channel in (0, 1):
        for value in (np.nan, np.inf, -np.inf):
            bad = good.copy()
            bad[channel, 3, 2] = value
            for quality in QUALITIES:
                with pytest.raises(NumericError):
                    synthesize(bad, SPEC, quality)
            with pytest.raises(NumericError):
                Synthesizer(SPEC).push(bad)


@pytest.mark.parametrize("quality", ["fast", "balanced", "high"])
def test_a_sound_that_grows_out_of_silence_does_not_hang_on_the_last_bit(quality: str) -> None:
    """Its partials rise in bands that were at the floor, where a level is the logarithm of a small difference."""
    spec, random = SpectrogramSpec(floor_db=-105), np.random.default_rng(0)
    time = np.arange(48_000 * 3) / 48_000
    sound = 0.3 * np.sin(2 * np.pi * (300 * time + 3 * np.sin(6 * time))) * np.minimum(1, time)
    spectrogram = analyze((sound + 1e-5 * random.standard_normal(len(time))).astype(np.float32), spec)
    rounded = spectrogram.copy()
    rounded[0] += (1e-5 * random.standard_normal(rounded[0].shape)).astype(np.float32)
    whole, other = synthesize(spectrogram, spec, quality), synthesize(rounded, spec, quality, None, spectrogram)
    assert np.square(whole - other).sum() < 1e-8 * np.square(whole).sum()  # the difference has been louder than that
