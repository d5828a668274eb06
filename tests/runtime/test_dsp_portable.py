"""Synthesis against the array API: the same decisions and the same samples as numpy's own, in any library.

array-api-strict refuses all that the standard does not promise; PyTorch stands in for a library of another making.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import array_api_compat.torch
import array_api_strict
import numpy as np
import pytest

import distill
from distill.arrays import namespace, on_host
from distill.dsp import phase as numpy_phase
from distill.dsp import portable
from distill.dsp.portable.phase import PhaseIntegrator, decide
from distill.dsp.portable.scan import scan
from distill.dsp.portable.tables import tables
from distill.dsp.start import nepers
from distill.spec import SpectrogramSpec

SPECS = [SpectrogramSpec(), SpectrogramSpec(n_fft=1024, hop_length=128, n_mels=160),
         SpectrogramSpec(n_fft=512, hop_length=128, n_mels=257)]
LIBRARIES = [np, array_api_strict, array_api_compat.torch]
in_libraries = pytest.mark.parametrize("xp", LIBRARIES, ids=["numpy", "strict", "torch"])
with_specs = pytest.mark.parametrize("spec", SPECS, ids=["2048/512", "1024/128", "512/128, a band a bin"])


def sound() -> np.ndarray:
    """A chord that swells and decays, two bursts of noise, and silence at the end."""
    random, time = np.random.default_rng(3), np.arange(20_000) / 48_000
    partials = [np.sin(2 * np.pi * f * time) for f in (220.0, 331.7, 447.0, 1503.1, 5210.4)]
    result = 0.1 * sum(partials) * np.minimum(time * 20, 1) * np.exp(-time * 3)
    for start in (3000, 9345):
        result[start : start + 4000] += random.normal(size=4000) * np.exp(-np.arange(4000) / 500) * 0.2
    result[17_000:] = 0
    return result.astype(np.float32)


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    error = np.square(reference.astype(np.float64) - other).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-300)))


def to_host(array: Any) -> np.ndarray:
    return np.from_dlpack(array)


def test_scan_is_the_loop() -> None:
    """An operation that is associative and not commutative: maps of three places, one after the other."""
    maps = np.random.default_rng(0).integers(0, 3, (37, 3))
    (result,) = scan(lambda a, b: (np.take_along_axis(a[0], b[0], axis=1),), (maps,), 0, np)
    expected = maps[0]
    for i, row in enumerate(maps):
        expected = expected[row] if i else row
        np.testing.assert_array_equal(result[i], expected)


@in_libraries
@with_specs
def test_decisions_are_those_of_numpy(spec: SpectrogramSpec, xp: ModuleType) -> None:
    levels = nepers(np.ascontiguousarray(distill.analyze(sound(), spec)[0].T), spec.floor_db)
    levels[7] = np.linspace(-3, -9, spec.n_mels)  # a frame without any peak
    for first, previous in ((0, None), (5, levels[4])):
        part = levels[first:]
        expected = numpy_phase.decide(levels[max(0, first - 1):], min(first, 1), spec)
        found = decide(xp.asarray(part), None if previous is None else xp.asarray(previous), tables(spec, xp))
        owner = expected.band.repeat(np.diff(expected.from_band)).reshape(part.shape)
        np.testing.assert_array_equal(to_host(found.owner), owner)
        is_seed = owner == np.arange(spec.n_mels)
        np.testing.assert_array_equal(np.flatnonzero(to_host(found.fresh)[is_seed]), expected.fresh)


@in_libraries
def test_phase_is_that_of_numpy_over_many_frames(xp: ModuleType) -> None:
    """The scan composes what numpy adds frame by frame; pushed in parts, its state goes over."""
    spec, random = SPECS[0], np.random.default_rng(1)
    frames = 600
    levels = np.cumsum(random.normal(size=(frames, spec.n_mels)), axis=1).astype(np.float32) * np.float32(0.1)
    deviation = random.uniform(-1.5, 1.5, (frames, spec.n_mels)).astype(np.float32)
    slopes = (0.2 * random.normal(size=(frames, spec.n_bins))).astype(np.float32)
    numpys = numpy_phase.PhaseIntegrator(spec)
    expected = numpys(numpy_phase.decide(levels, 0, spec), deviation, slopes)
    integrate = PhaseIntegrator(tables(spec, xp))
    for first, last in ((0, 1), (1, 250), (250, frames)):
        previous = xp.asarray(levels[first - 1]) if first else None
        decisions = decide(xp.asarray(levels[first:last]), previous, tables(spec, xp))
        found = integrate(decisions, xp.asarray(deviation[first:last]), xp.asarray(slopes[first:last]))
        np.testing.assert_array_equal(to_host(found), expected[first:last])


@in_libraries
@with_specs
@pytest.mark.parametrize("quality", ["fast", "balanced", "high"])
def test_samples_are_those_of_numpy(quality: str, spec: SpectrogramSpec, xp: ModuleType) -> None:
    samples = 8000 if quality == "high" else 20_000
    spectrogram = distill.analyze(sound()[:samples], spec)
    expected = distill.synthesize(spectrogram, spec, quality, samples)
    result = portable.synthesize(xp.asarray(spectrogram), spec, quality, samples, xp=xp)
    assert result.dtype == xp.float32 and tuple(result.shape) == (samples,)
    assert snr_db(expected, to_host(result)) > 65
    other = spectrogram + np.random.default_rng(0).normal(size=spectrogram.shape).astype(np.float32) * np.float32(1e-3)
    expected = distill.synthesize(spectrogram, spec, quality, decisions_from=other)
    result = portable.synthesize(xp.asarray(spectrogram), spec, quality, decisions_from=xp.asarray(other), xp=xp)
    assert snr_db(expected, to_host(result)) > 65


@pytest.mark.parametrize(("xp", "sizes"), [(np, [1]), (np, [1000]), (array_api_strict, [0, 1, 30, 3])],
                         ids=["numpy, singly", "numpy, at once", "strict, as it comes"])
@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_a_stream_is_the_whole(quality: str, sizes: list[int], xp: ModuleType) -> None:
    spec = SPECS[1]
    spectrogram = distill.analyze(sound()[:6000], spec)
    frames = spectrogram.shape[2]
    expected = distill.synthesize(spectrogram, spec, quality)
    stream = portable.Synthesizer(spec, quality, xp)
    for _ in range(2):  # flush starts over
        parts, done, given = [], 0, 0
        while given < frames:
            count = min(sizes[len(parts) % len(sizes)], frames - given)
            parts.append(to_host(stream.push(xp.asarray(spectrogram[:, :, given : given + count]))))
            given, done = given + count, done + len(parts[-1])
            assert done == max(0, given - stream.latency_frames) * spec.hop_length
        parts.append(to_host(stream.flush()))
        assert snr_db(expected, np.concatenate(parts)) > 65


@pytest.mark.parametrize("quality", ["fast", "balanced", "high"])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 9])
def test_few_frames_and_lengths(quality: str, frames: int) -> None:
    spec, xp = SPECS[0], array_api_strict
    spectrogram = distill.analyze(sound(), spec)[:, :, :frames]
    for length in (None, 100, 9000):
        expected = distill.synthesize(spectrogram, spec, quality, length)
        result = to_host(portable.synthesize(xp.asarray(spectrogram), spec, quality, length, xp=xp))
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, atol=1e-4)  # float32 sums over the bins


@pytest.mark.parametrize("quality", ["fast", "balanced", "high"])
def test_pieces_elsewhere_become_samples_here(quality: str) -> None:
    spec, xp = SPECS[0], array_api_strict
    spectrogram = distill.analyze(sound(), spec)
    pieces = [xp.asarray(spectrogram[:, :, i : i + 20]) for i in range(0, spectrogram.shape[2], 20)]
    parts = list(portable.sound(pieces, spec, quality))
    assert all(isinstance(part, np.ndarray) for part in parts)
    assert snr_db(distill.synthesize(spectrogram, spec, quality), np.concatenate(parts)) > 65


def test_wrong_input_is_refused() -> None:
    spec, xp = SPECS[0], array_api_strict
    good = xp.zeros((2, spec.n_mels, 5), dtype=xp.float32)
    for shape in [(2, 100, 5), (1, spec.n_mels, 5), (spec.n_mels, 5)]:
        with pytest.raises(distill.InvalidValue, match=r"\(2, 384, frames\)"):
            portable.synthesize(xp.zeros(shape), spec, xp=xp)
    with pytest.raises(distill.InvalidValue, match="floating point"):
        portable.synthesize(xp.astype(good, xp.int16), spec, xp=xp)
    with pytest.raises(distill.InvalidValue, match="'best'.*fast, balanced, high"):
        portable.synthesize(good, spec, "best", xp=xp)
    with pytest.raises(distill.InvalidValue, match="whole file"):
        portable.Synthesizer(spec, "high", xp)
    with pytest.raises(distill.InvalidValue, match="length"):
        portable.synthesize(good, spec, length=-5, xp=xp)
    with pytest.raises(distill.InvalidValue, match="4 frames.*5"):
        portable.synthesize(good, spec, decisions_from=good[:, :, :4], xp=xp)
    for value in (float("nan"), float("inf")):
        bad = xp.asarray(good, copy=True)
        bad[1, 3, 2] = value
        with pytest.raises(distill.NumericError):
            portable.synthesize(bad, spec, xp=xp)


def test_where_arrays_belong() -> None:
    """CuPy's arrays know no `__array_namespace__`, and come back with `get`."""
    assert namespace(np.zeros(2)) is np and namespace(array_api_strict.zeros(2)) is array_api_strict

    class FromAFar:
        def get(self) -> np.ndarray:
            return np.arange(3)

    FromAFar.__module__ = "array_api_strict._core.core"
    assert namespace(FromAFar()) is array_api_strict
    np.testing.assert_array_equal(on_host(FromAFar()), np.arange(3))
    same = np.zeros(2)
    assert on_host(same) is same
