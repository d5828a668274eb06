"""The quality bench: its measures give the known values on known cases, and our round trip keeps its distance to the
references, by ratio in one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.quality import metrics, page, public_vae
from bench.quality.__main__ import main
from bench.quality.measure import COLUMNS
from bench.quality.models import Bundle, System, Trained, Trip, measure_models, parse_budget, recordings
from bench.quality.pitch import Track, compare
from bench.quality.public_scheme import PublicScheme
from bench.quality.recordings import SAMPLE_RATE, load, parse_categories, spread
from bench.quality.results import Results, Row, category_means, means
from bench.quality.round_trip import measure_schemes
from bench.quality.schemes import Ours, references
from distill.errors import FileError, InvalidValue, NotFound
from distill_train.config import NetworkConfig, Recipe

Floats = NDArray[np.float32]
Measure = Callable[[Floats, Floats], float]

DEMO = Path(__file__).resolve().parents[2] / "corpus" / "demo"
ERRORS = [c.compute for c in COLUMNS if c.compute is not None and c.best == "low"]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, as the bench has it; put back for the tests that follow."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(seed: int = 0, seconds: float = 0.5) -> Floats:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(SAMPLE_RATE * seconds))).astype(np.float32)


def hit(seconds: float = 1.0) -> Floats:
    """Silence, and from the middle on a noise that dies away."""
    sound = noise(seconds=seconds)
    half = len(sound) // 2
    sound[:half] = 0
    sound[half:] *= np.exp(-np.arange(len(sound) - half) / 4000).astype(np.float32)
    return sound


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


def row(part: str = "round trip", category: str = "a", system: str = "x", split: str = "", **values: float) -> Row:
    figures = {"lsd": 1.0, "sc": 0.1, "level": -1.0, **values}
    return Row(part, category, split, system, "f.wav", 1000.0, 2.0, figures)


def test_means_leave_out_what_has_no_meaning() -> None:
    rows = [row(lsd=1.0, pitch=math.nan), row(lsd=3.0, pitch=0.5), row(category="b", lsd=10.0, level=3.0)]
    assert means(rows[:2])["lsd"] == 2 and means(rows[:2])["pitch"] == 0.5
    assert means(rows[:2])["level"] == 1  # without its sign
    assert math.isnan(means(rows)["voicing"])
    assert category_means(rows)["lsd"] == 6


def test_results_are_kept_and_replaced_part_by_part(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "results.json"
    results = Results.load(file)
    results.put("round trip", "a", [row(pitch=math.nan)])
    results.put("round trip", "b", [row(category="b")])
    results.put("round trip", "a", [row(lsd=5.0, pitch=math.nan)])
    results.save(file)
    again = Results.load(file)
    assert [r.category for r in again.rows] == ["b", "a"] and math.isnan(again.rows[1].values["pitch"])
    assert again.of("round trip", "a")[0].values["lsd"] == 5
    file.write_text('{"rows": [{"strange": 1}]}')
    with pytest.raises(FileError, match="--fresh"):
        Results.load(file)


def test_the_block_goes_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    results, readme = Results(), tmp_path / "README.md"
    results.put("round trip", "a", [row(system="distill balanced, 384 bands"),
                                    row(system="public scheme, 128 bands", lsd=4.0)])
    readme.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    assert page.write_block(results, readme)
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| a | 1.00 / 0.10 | 4.00 / 0.10 |" in text
    readme.write_text("nothing")
    assert not page.write_block(results, readme) and readme.read_text() == "nothing"


def test_tables_mark_the_best_but_not_the_ceiling() -> None:
    lines = page.table([row(system="linear bins (ceiling)", lsd=0.0), row(system="x"), row(system="y", lsd=2.0)])
    assert lines[0] == "| scheme | LSD dB | SC | level dB |"
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["0.00", "**1.00**", "2.00"]


def test_the_best_peak_ratio_is_the_one_nearest_to_one() -> None:
    lines = page.table([row(system=name, peak=peak) for name, peak in (("x", 0.5), ("y", 1.2), ("z", 1.9))], ["peak"])
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["0.50", "**1.20**", "1.90"]


def test_a_bundle_gives_back_as_many_samples(tiny: Path) -> None:
    trained = Trained("a", cast(Any, None), tiny, tuple((path, i == 0) for i, path in enumerate(demo_files(3))))
    systems: list[System] = [Trip(Ours("fast"), "trip"), Bundle(tiny)]
    cases = recordings(trained, 1, 0.3)
    assert [split for split, _ in cases] == ["training", "held out"]
    assert cases[1][1].path == demo_files(1)[0]
    assert all(len(system.reconstruct(case)[0]) == len(case.sound) for system in systems for _, case in cases)
    rows = measure_models("a", cases, systems, False, lambda text: None)
    assert [(r.split, r.system) for r in rows] == [
        (split, name) for split in ("training", "held out") for name in ("trip", "distill model")]
    assert rows[0].values["lsd"] < rows[1].values["lsd"]  # the tiny bundle has learnt next to nothing


def test_a_vae_learns_the_public_scheme() -> None:
    ours = SimpleNamespace(recipe=Recipe(batch_size=2, crop_frames=16, crop_margin=4, pitches=("original", "up-1")),
                           network=NetworkConfig(n_mels=16, latent_dim=4, width=16, blocks=1), seed=1)
    cases = [found for path in demo_files(2) if (found := load(path, 0.5)) is not None]
    model = public_vae.train([case.sound for case in cases], cast(Any, ours), seconds=0.5)
    assert model.steps > 1
    sound, cost = model.reconstruct(cases[0])
    assert sound.shape == cases[0].sound.shape and np.isfinite(sound).all() and cost > 0


def demo_files(count: int) -> list[Path]:
    return sorted((DEMO / "vibraphone").glob("*.flac"))[:count]


@pytest.mark.parametrize("word", ["minutes", "minutes=", "hours=1", "minutes=-1", "minutes=nan", "steps=0"])
def test_a_budget_that_is_none(word: str) -> None:
    with pytest.raises(InvalidValue, match="minutes=M or steps=N"):
        parse_budget(word)


def test_categories(tmp_path: Path) -> None:
    assert parse_categories([f"a={tmp_path}", f"b={DEMO}", f"a={DEMO}"]) == {"a": (tmp_path, DEMO), "b": (DEMO,)}
    with pytest.raises(InvalidValue, match="NAME=FOLDER"):
        parse_categories(["drums"])
    with pytest.raises(NotFound, match="nowhere"):
        parse_categories(["a=nowhere"])


def test_one_command_writes_page_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--files", "1", "--seconds", "0.3", "--no-pitch", "--docs", str(tmp_path)])
    text = (tmp_path / "quality.md").read_text()
    for part in ("## Measures", "vibraphone notes", "| distill balanced, 384 bands |", "(quality-tonal.png)"):
        assert part in text
    assert (tmp_path / "quality-tonal.png").stat().st_size > 10_000
    assert capsys.readouterr().out.strip() == str(tmp_path / "quality.md")
    with pytest.raises(SystemExit) as stopped:
        main([f"a={tmp_path}", "--docs", str(tmp_path)])
    assert stopped.value.code == 2 and "no recordings" in capsys.readouterr().err
    (tmp_path / "quality.md").unlink()
    main(["--skip-round-trip", "--docs", str(tmp_path)])  # the page again, out of the figures kept beside it
    assert (tmp_path / "quality.md").read_text() == text
