"""The quality bench as a whole: models and their peers, what is kept of a run, and the page that is made of it."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile
from tests.bench.sounds import hit, noise

from bench.quality import aims, models, page, public_vae, rave_v2
from bench.quality.__main__ import main
from bench.quality.division import Division, divide
from bench.quality.models import Bundle, System, Trip, label, measure_models, parse_budget, recordings
from bench.quality.recordings import SAMPLE_RATE, load, parse_categories
from bench.quality.results import MODEL, NO_MODEL, Results, Row, Training, category_means, means
from bench.quality.schemes import Ours
from distill.errors import FileError, InvalidValue, NotFound
from distill.spec import SpectrogramSpec
from distill_train import cli
from distill_train.checkpoint import load_checkpoint
from distill_train.config import NetworkConfig, Recipe, network_config
from distill_train.schedule import Budget

SMALL = Recipe(batch_size=2, crop_frames=16, crop_margin=4, pitches=("original", "up-1"))
NETWORK = NetworkConfig(n_mels=16, parts=(3, 1), width=16, blocks=1)
DEMO = Path(__file__).resolve().parents[2] / "corpus" / "demo"


def row(part: str = "round trip", category: str = "a", system: str = "x", split: str = "", budget: str = "",
        **values: float) -> Row:
    figures = {"lsd": 1.0, "sc": 0.1, "level": -1.0, **values}
    return Row(part, category, split, system, "f.wav", 1000.0, 2.0, figures, budget)


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
    files = tuple((path, SimpleNamespace(held_out=i == 0)) for i, path in enumerate(demo_files(3)))
    division = Division("a", (), cast(Any, files), (), 1)
    systems: list[System] = [Trip(Ours("fast"), "trip"), Bundle(tiny)]
    cases = recordings(division, 1, 0.3)
    assert [split for split, _ in cases] == ["training", "held out"]
    assert cases[1][1].path == demo_files(1)[0]
    assert all(len(system.reconstruct(case)[0]) == len(case.sound) for system in systems for _, case in cases)
    rows = measure_models("a", "1 minute", cases, systems, False, lambda text: None)
    assert [(r.split, r.system) for r in rows] == [
        (split, name) for split in ("training", "held out") for name in ("trip", "distill model")]
    assert rows[0].values["lsd"] < rows[1].values["lsd"]  # the tiny bundle has learnt next to nothing
    assert all(row.budget == "1 minute" and row.values["cost"] > 0 for row in rows)


def test_a_vae_learns_the_public_scheme() -> None:
    cases = [found for path in demo_files(2) if (found := load(path, 0.5)) is not None]
    learnt = public_vae.train([case.sound for case in cases], SMALL, NETWORK, 1, Budget(steps=3), 2)
    assert learnt.steps == 3
    (own, cost), (mended, _) = (public_vae.PublicVae(learnt, way).reconstruct(cases[0]) for way in (False, True))
    assert own.shape == mended.shape == cases[0].sound.shape and cost > 0
    assert np.isfinite(own).all() and np.isfinite(mended).all() and not np.allclose(own, mended)


def test_the_time_of_the_others_is_processor_time_once_for_each_thread_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(public_vae, "time", SimpleNamespace(process_time=lambda: float(next(ticks))))  # no other clock
    sound = noise(seconds=0.5)
    steps = [public_vae.train([sound], SMALL, NETWORK, 1, Budget(seconds=5), n).steps for n in (1, 2)]
    assert steps == [4, 9]  # one tick before each step, and the one that finds the time used up


def test_rave_gets_its_time_and_gives_back_what_it_was_handed(tmp_path: Path) -> None:
    python = tmp_path / "python"  # called like one: -P worker job result
    python.write_text(f"""#!{sys.executable}
import sys, numpy
job = numpy.load(sys.argv[3])
numpy.savez(sys.argv[4], steps=7, seconds=job["seconds"], case_0=job["case_0"], cpu_0=job["steps"])
""")
    python.chmod(0o755)
    cases = [found for path in demo_files(1) if (found := load(path, 0.5)) is not None]
    rave, steps, seconds = rave_v2.train([noise()], cases, Budget(seconds=60), 2, python, tmp_path)
    sound, most = rave.reconstruct(cases[0])
    assert (steps, seconds, most) == (7, 120, math.inf) and np.array_equal(sound, cases[0].sound)
    rave, _, seconds = rave_v2.train([noise()], cases, Budget(steps=5), 2, python, tmp_path)
    assert (seconds, rave.reconstruct(cases[0])[1]) == (math.inf, 5)
    with pytest.raises(NotFound, match="--rave-python"):
        rave_v2.check(tmp_path / "nowhere")


def test_models_are_replaced_one_system_and_one_budget_at_a_time(tmp_path: Path) -> None:
    results = Results()
    for budget in ("1 minute", "10 minutes"):
        for system in (MODEL, "RAVE v2"):
            results.put_models([row("models", system=system, split="held out", budget=budget)],
                               [Training("a", budget, system, 5, 60.0, "wall", 2)])
    results.put_models([row("models", system=MODEL, split="held out", budget="1 minute", lsd=9.0)],
                       [Training("a", "1 minute", MODEL, 8, 60.0, "wall", 2)])
    results.save(tmp_path / "results.json")
    again = Results.load(tmp_path / "results.json")
    assert {(r.budget, r.system): r.values["lsd"] for r in again.rows} == {
        ("1 minute", MODEL): 9, ("1 minute", "RAVE v2"): 1, ("10 minutes", MODEL): 1, ("10 minutes", "RAVE v2"): 1}
    assert {(t.budget, t.system): t.steps for t in again.trainings} == {
        ("1 minute", MODEL): 8, ("1 minute", "RAVE v2"): 5, ("10 minutes", MODEL): 5, ("10 minutes", "RAVE v2"): 5}
    assert len(again.trainings) == 4


def test_what_stands_side_by_side_is_of_the_same_recordings() -> None:
    results = Results(models={"a": {"about": "x", "seconds_each": 2.5}})
    results.put_models([row("models", split="held out", budget="1 minute")], [])
    files = {("held out", "f.wav")}
    results.check_models("a", {"about": "y", "seconds_each": 2.5}, files)
    results.check_models("b", {"seconds_each": 1.0}, set())
    with pytest.raises(InvalidValue, match="--fresh"):
        results.check_models("a", {"about": "x", "seconds_each": 1.0}, files)
    with pytest.raises(InvalidValue, match="--fresh"):
        results.check_models("a", {"about": "x", "seconds_each": 2.5}, {("held out", "g.wav")})


def test_budgets_stand_side_by_side_and_compete_among_themselves() -> None:
    rows = [row("models", system=system, budget=budget, lsd=lsd)
            for system, budget, lsd in ((NO_MODEL, "1 minute", 0.5), (NO_MODEL, "10 minutes", 0.5),
                                        (MODEL, "1 minute", 2.0), (MODEL, "10 minutes", 1.5),
                                        ("RAVE v2", "1 minute", 8.0), ("RAVE v2", "10 minutes", 1.25))]
    assert [line.split("|")[1:3] for line in page.models_table(rows)[2:]] == [
        [" distill, no model ", " 0.50 "], [" distill model, 1 minute ", " **2.00** "],
        [" distill model, 10 minutes ", " 1.50 "], [" RAVE v2, 1 minute ", " 8.00 "],
        [" RAVE v2, 10 minutes ", " **1.25** "]]
    rows[1].values["lsd"] = 0.7  # another spectrogram for the longer one: now both are told
    assert [line.split("|")[1].strip() for line in page.models_table(rows)[2:4]] == [
        "distill, no model, 1 minute", "distill, no model, 10 minutes"]


def test_aims_are_reached_or_not() -> None:
    def rows(budget: str, **values: float) -> list[Row]:
        return [row("models", "drums", MODEL, "held out", budget, **values),
                row("models", "drums", MODEL, "training", budget, lsd=99.0, log_l1=0.26),
                row("models", "drums", NO_MODEL, "training", budget, log_l1=0.20)]

    text = aims.table("drums", rows("1 minute", lsd=3.2, sc=0.51, flux=0.7) + rows("10 minutes", lsd=2.9, flux=0.6))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text]
    assert cells[0] == ["", "1 minute", "aim", "", "10 minutes", "aim", ""]
    assert cells[2] == ["held out: LSD dB", "3.20", "3.20", "reached", "2.90", "2.80", "not reached"]
    assert cells[3][1:4] == ["0.510", "0.500", "not reached"]
    assert cells[4][1:] == ["0.700", "0.620", "reached", "0.600", "0.680", "not reached"]
    assert cells[5][1:] == ["1.30", "–", "", "1.30", "1.30", "reached"]
    assert aims.table("speech", rows("1 minute")) == []
    assert len(aims.table("drums", rows("300 steps"))) == 0
    assert "not measured" in "".join(aims.table("tonal", [row("models", "tonal", MODEL, "held out", "1 minute")]))


def test_ours_is_trained_and_exported_as_a_user_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(models, "_command", lambda *words: calls.append([str(word) for word in words]))
    monkeypatch.setattr(models, "load_checkpoint", lambda run: run)
    division = Division("a", (DEMO,), (), (), 1)
    trained = models.train_and_export(division, parse_budget("minutes=10"), tmp_path, 2, "large")
    assert calls[0][:2] == ["distill-train", str(DEMO)]
    assert trained.bundle == tmp_path / "a" / "10-minutes-large" / "bundle"
    spec = SpectrogramSpec()
    for size, name in (("base", MODEL), ("large", f"{MODEL}, large")):
        checkpoint = SimpleNamespace(network=network_config(size, spec), spec=spec)
        assert models.Trained(checkpoint, tmp_path, 2).name == name  # type: ignore[arg-type]
    assert " ".join(calls[0][4:]) == "--minutes 10.0 --seed 1 --threads 2 --size large --device cpu --force"
    assert calls[1][:4] == ["distill-export", calls[0][3], "-o", str(trained.bundle)]


def test_each_run_leaves_alone_what_it_did_not_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                       tiny: Path) -> None:
    """Ours, then another beside it, then ours again; the division is the one of `distill-train`."""
    corpus, docs, run = tmp_path / "corpus", tmp_path / "docs", tmp_path / "run"
    corpus.mkdir()
    for number in range(5):
        soundfile.write(corpus / f"{number}.wav", hit(0.6) + 0.01 * noise(number, 0.6), SAMPLE_RATE)
    with monkeypatch.context() as small:
        small.setattr("distill_train.prepare.network_config",
                      lambda size, spec, parts=(3, 1), *_: replace(NETWORK, parts=parts))
        small.setattr("signal.signal", lambda number, action: None)  # a command's handlers would outlive it here
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(corpus), "-o", str(run), "--steps", "1", "--seed", "1", "--n-mels", "16", "--threads", "1"])
        assert not stopped.value.code
    checkpoint = load_checkpoint(run)
    division = divide("a", [corpus], tmp_path)
    assert tuple(file for _, file in division.files) == checkpoint.corpus
    assert any(file.held_out for file in checkpoint.corpus) and division.pitches == checkpoint.recipe.pitches

    monkeypatch.setattr("bench.quality.run.train_and_export",
                        lambda division, budget, work, threads, size: models.Trained(checkpoint, tiny, threads))
    words = [f"a={corpus}", "--skip-round-trip", "--no-pitch", "--files", "1", "--seconds", "0.3", "--docs", str(docs)]

    def figures() -> dict[str, list[Any]]:
        kept = Results.load(docs / "quality.json")
        return {name: [r for r in kept.rows if r.system == name] + [t for t in kept.trainings if t.system == name]
                for name in {r.system for r in kept.rows}}

    main([*words, "--models", "steps=1"])
    first = figures()
    assert {name: len(found) for name, found in first.items()} == {NO_MODEL: 2, MODEL: 3}
    main([*words, "--models", "steps=1", "--peers-only", "--public-vae"])
    second = figures()
    assert {name: second[name] for name in first} == first
    assert [t.steps for t in second["public scheme model"] if isinstance(t, Training)] == [1]
    main([*words, "--bundle", str(run), str(tiny), "--threads", "1"])
    third = figures()
    assert third["public scheme model"] == second["public scheme model"]
    assert isinstance(training := third[MODEL][-1], Training) and training.threads == 1
    text = (docs / "quality.md").read_text()
    assert "| distill model, 1 step |" in text and "| mended public scheme model, 1 step |" in text
    for more in (["--seconds", "0.2", "--models", "steps=1", "--peers-only", "--public-vae"], ["--rave"],
                 ["--models", "steps=1", "--peers-only"]):
        with pytest.raises(SystemExit) as stopped:
            main([*words, *more])
        assert stopped.value.code == 2


def demo_files(count: int) -> list[Path]:
    return sorted((DEMO / "vibraphone").glob("*.flac"))[:count]


def test_budgets() -> None:
    assert [label(parse_budget(word)) for word in ("minutes=1", "minutes=2.5", "steps=300", "steps=1")] == [
        "1 minute", "2.5 minutes", "300 steps", "1 step"]


@pytest.mark.parametrize("word", ["minutes", "minutes=", "hours=1", "minutes=-1", "minutes=nan", "steps=0", "steps=.5"])
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
