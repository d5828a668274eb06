"""The quality bench measures: known values on known cases, and our round trip keeps its distance to the references, by
ratio in one run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.bench.sounds import hit, noise

from bench.quality import metrics
from bench.quality.measure import COLUMNS
from bench.quality.pitch import Track, compare
from bench.quality.public_scheme import PublicScheme
from bench.quality.recordings import SAMPLE_RATE, load, spread
from bench.quality.results import means
from bench.quality.round_trip import measure_schemes
from bench.quality.schemes import Ours, references

Floats = NDArray[np.float32]
Measure = Callable[[Floats, Floats], float]

DEMO = Path(__file__).resolve().parents[2] / "corpus" / "demo"
ERRORS = [c.compute for c in COLUMNS if c.compute is not None and c.best == "low"]


@pytest.mark.parametrize("measure", ERRORS)
@pytest.mark.parametrize("sound", [noise(), hit()])
def test_no_error_where_nothing_differs(measure: Measure, sound: Floats) -> None:
    assert measure(sound, sound.copy()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_half_the_amplitude_is_six_db_at_any_level(level: float) -> None:
    sound = level * noise()
    half = 0.5 * sound
    for measure in (metrics.lsd, metrics.attack_error, metrics.envelope_error):
        assert measure(sound, half) == pytest.approx(6.02, abs=0.02)
    assert metrics.level_error_db(sound, half) == pytest.approx(-6.02, abs=0.01)
    assert metrics.spectral_convergence(sound, half) == pytest.approx(0.5, abs=1e-4)
    assert metrics.log_magnitude_l1(sound, half) == pytest.approx(math.log(2), abs=1e-3)
    assert metrics.peak_ratio(sound, half) == pytest.approx(0.5)
    assert metrics.flux_correlation(sound, half) > 0.99


def test_silence_for_a_sound_is_an_error_of_the_whole_range() -> None:
    sound, silence = noise(), np.zeros_like(noise())
    assert metrics.spectral_convergence(sound, silence) == pytest.approx(1)
    assert 50 < metrics.lsd(sound, silence) < 80
    assert math.isnan(metrics.flux_correlation(sound, silence))


def test_a_shorter_sound_counts_as_followed_by_silence() -> None:
    sound = noise()
    cut = sound[: len(sound) // 2]
    assert metrics.lsd(sound, cut) == pytest.approx(metrics.lsd(sound, np.pad(cut, (0, len(sound) - len(cut)))))
    assert metrics.lsd(sound, cut) > 20


def test_attack_error_sees_the_attack_and_nothing_else() -> None:
    sound, half = hit(), len(hit()) // 2
    late, early = sound.copy(), sound.copy()
    late[half + 8192 :] = 0
    early[half : half + 1024] *= 0.1
    assert metrics.attack_error(sound, late) == pytest.approx(0, abs=1e-3) and metrics.lsd(sound, late) > 1
    assert metrics.attack_error(sound, early) > 3 * metrics.lsd(sound, early) > 0


def test_flux_and_envelope_tell_a_late_attack() -> None:
    sound = hit()
    late = np.roll(sound, 2400)
    assert metrics.flux_correlation(sound, late) < 0.5
    assert metrics.envelope_error(sound, late) > 2


def test_spectral_measures_tell_a_semitone() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (880.0, 932.3))
    assert metrics.spectral_convergence(low, high) > 0.5
    assert metrics.level_error_db(low, high) == pytest.approx(0, abs=0.01)


def test_pitch_within_fifty_cents_and_voicing() -> None:
    ones = np.ones(20, np.float32)
    reference = Track(440 * ones, ones)
    cents = Track((440 * 2 ** (np.repeat([40, -40, 60, 700], 5) / 1200)).astype(np.float32), ones)
    assert compare(reference, cents) == (0.5, 1.0)
    half_heard = Track(440 * ones, np.repeat([1, 0], 10).astype(np.float32))
    assert compare(reference, half_heard) == (1.0, 0.5)
    assert compare(reference, Track(440 * ones, 0 * ones)) == (0.0, 0.0)
    unvoiced = compare(Track(440 * ones, 0 * ones), reference)
    assert math.isnan(unvoiced.within_50_cents) and unvoiced.voicing_agreement == 0


def test_round_trip_keeps_its_distance_to_the_references() -> None:
    paths = spread(sorted((DEMO / "vibraphone").glob("*.flac")), 4)[1:3]
    sounds = [found for path in paths if (found := load(path, 1.0)) is not None]
    others = [scheme for scheme in references() if scheme.name != "Griffin-Lim, 128 bands"]
    own = [Ours("fast"), Ours("balanced"), Ours("high"), Ours("balanced", n_mels=128)]
    rows = measure_schemes("tonal", sounds, [*own, *others], False, lambda text: None)
    figures = {name: means([r for r in rows if r.system == name]) for name in dict.fromkeys(r.system for r in rows)}
    ours, fast, high, small = (figures[scheme.name] for scheme in (own[1], own[0], own[2], own[3]))
    public, mended, mended_384 = (figures[f"public scheme, {m} bands"] for m in ("128", "mended, 128", "mended, 384"))
    griffin_lim = figures["Griffin-Lim, 384 bands"]
    assert figures["linear bins (ceiling)"]["lsd"] < 0.01
    assert public["lsd"] > 4 * ours["lsd"] and public["sc"] > 8 * ours["sc"] and public["level"] > 3
    assert mended["lsd"] > 3 * ours["lsd"] and mended["sc"] > 3 * ours["sc"]
    assert mended_384["lsd"] > 1.5 * ours["lsd"] and mended_384["sc"] > 2 * ours["sc"]
    assert griffin_lim["lsd"] > 2 * ours["lsd"] and griffin_lim["sc"] > 2 * ours["sc"]
    assert mended["lsd"] > 1.3 * small["lsd"] and mended["sc"] > 1.5 * small["sc"]  # as many numbers
    assert high["lsd"] < ours["lsd"] < fast["lsd"] and high["sc"] < ours["sc"] < fast["sc"]
    assert ours["level"] < 0.3 and ours["attack"] < 0.7 * public["attack"]


def test_the_public_scheme_is_as_described() -> None:
    scheme = PublicScheme(128)
    spectrogram = scheme.analyze(noise())
    assert spectrogram.shape == (2, 128, 1 + len(noise()) // 512)
    assert float(spectrogram[1].abs().max()) <= math.pi and float(spectrogram[0].min()) >= 0
    assert not spectrogram[1][:, 0].any()
