"""The generation bench: its measures say what they should of sounds that are alike, that differ, and that click."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.generation.__main__ import main
from bench.generation.judge import Judge
from bench.generation.page import BEGIN, END, tables, write
from bench.generation.results import DEFAULTS, Measured, Results, missed
from bench.generation.seams import seam_energy
from distill.errors import FileError

RATE = 16_000
GOOD = {"frechet": 1.0, "ratio": 0.5, "precision": 0.95, "flux": 1.0, "level": 0.5, "seams": 0.1, "seams_error": 0.1,
        "nearest": 0.3}


def notes(seed: int, count: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    return [(0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time) * np.exp(-4 * time)
             + 0.001 * rng.standard_normal(RATE)).astype(np.float32) for _ in range(count)]


def test_the_corpus_is_like_itself_and_other_sound_is_not() -> None:
    judge = Judge(notes(0), RATE)
    same = judge.judge(notes(0))
    assert same["frechet"] < 1e-3 and same["precision"] == 1 and same["flux"] == pytest.approx(1)
    assert same["level"] == pytest.approx(0, abs=1e-6) and same["nearest"] < 0.01
    softer = judge.judge([0.5 * note for note in notes(0)])
    assert softer["level"] == pytest.approx(-6.02, abs=0.01) and softer["nearest"] > same["nearest"]
    noise = judge.judge([(0.1 * np.random.default_rng(1).standard_normal(4 * RATE)).astype(np.float32)])
    assert noise["frechet"] > 1.5 * judge.baseline["frechet"] and noise["precision"] < 0.1
    assert judge.judge(notes(5))["nearest"] > 0.2


def test_clicks_are_found_where_chunks_meet_and_nowhere_else() -> None:
    latent, chunk = 256, 16
    rng = np.random.default_rng(0)
    sounds = [np.convolve(rng.standard_normal(20 * RATE), np.ones(8) / 8, "same").astype(np.float32) for _ in range(2)]
    clean = seam_energy(sounds, chunk, latent, RATE)
    assert abs(clean.excess_db) < 3 * clean.error_db < 1
    for shift, found in ((0, True), (2 * latent + 100, False)):
        clicked = [sound.copy() for sound in sounds]
        for sound in clicked:
            sound[latent * chunk + shift::latent * chunk] += 1
        seams = seam_energy(clicked, chunk, latent, RATE)
        assert (seams.excess_db > max(1, 5 * seams.error_db)) == found


@pytest.mark.parametrize(("key", "value"), [("ratio", 1.51), ("precision", 0.89), ("flux", 0.89), ("flux", 1.11),
                                            ("level", -1.1), ("level", 1.1), ("seams", 0.21)])
def test_what_is_not_as_wanted_is_named_and_bold(key: str, value: float) -> None:
    assert missed(GOOD) == []
    values = {**GOOD, key: value}
    assert missed(values) == [key]
    page = tables(Results({"bells": Measured(3, 10.0, 600, 2.0, {DEFAULTS: values})}))
    (line,) = (line for line in page.splitlines() if line.startswith("| bells"))
    assert line.count("**") == 2 and line.split("**")[1].startswith((f"{value:.2f}", f"{value:+.1f}", f"{value:+.2f}"))


def test_the_tables_stand_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "generation.md"
    page.write_text(f"before\n{BEGIN}\nof yore\n{END}\nafter\n")
    results = Results({"bells": Measured(3, 10.0, 600, 2.0, {DEFAULTS: GOOD})})
    write(results, page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n") and "yore" not in text
    write(results, page)
    assert page.read_text() == text
    page.write_text("no marks")
    with pytest.raises(FileError, match="generation:begin"):
        write(results, page)


def test_a_run_measures_prints_and_keeps(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for index, note in enumerate(notes(0, 4)):
        soundfile.write(corpus / f"{index}.wav", note, RATE)
    main([f"{tiny}={corpus}", "--minutes", "0.34", "--folder", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "| wanted |" in printed and f"| {DEFAULTS} |" in printed and "as wanted" in printed
    kept = Results.load(tmp_path / "out" / "generation.json").models["tiny"]
    assert kept.recordings == 4 and kept.steps == 1500
    assert all(math.isfinite(value) for values in kept.rows.values() for value in values.values())
    for words, code in ((["tiny"], 2), ([f"{tiny}={tmp_path / 'out'}"], 3)):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == code
