"""bench, and what generate makes of it: kept whole or not at all, used only where nothing else was said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import distill
from distill import benchmark, tuning
from distill.benchmark import VariantFigures, choose
from distill.bundle import open_bundle
from distill.cli.bench import bench
from distill.tuning import Choice, load_tuned

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def figures(variant: str, speed: float) -> VariantFigures:
    return VariantFigures(variant, 1, {"fast": speed, "balanced": speed}, {}, 1.0, None, 0.0)  # type: ignore[arg-type]


def model_id(tiny: Path) -> str:
    return distill.load(tiny).sidecar.model.id


def test_bench_measures_keeps_and_is_used(tiny: Path, tmp_path: Path, cache: Path, run: Run,
                                          monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(benchmark, "_SECONDS", 0.5)
    monkeypatch.setattr(benchmark, "_memory", lambda bundle, variant: None)
    bench(str(tiny), rounds=1, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in facts["variants"]] == ["fp32", "fp16", "int8"]
    for row in facts["variants"]:
        assert row["real_time_factor"]["fast"] > 0 and row["first_block_ms"]["balanced"] > 0 and row["bytes"] > 0
    assert facts["best"]["variant"] == "fp32"  # int8 only when it is asked for
    own_grid = [r for r in facts["decoder"] if r["threads"] == 1 and r["chunk"] == 64]
    assert len(own_grid) == 3 and all(r["same_samples"] for r in own_grid)
    assert Path(facts["saved"]).parent == cache / "tuning"
    made = run("distill", "generate", tiny, "-o", tmp_path / "a.wav", "--seconds", "0.2", "--seed", "1", "--json")
    made = json.loads(made.stdout)
    assert made["tuned"] is True and made["variant"] == "fp32" and made["threads"] == facts["best"]["threads"]


def test_a_kept_choice_is_used_and_flags_win(tiny: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_tuned(tiny)[1] is False
    path = tuning.keep(model_id(tiny), Choice(variant="int8", threads=2), 10.0)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    capsys.readouterr()
    model, tuned = load_tuned(tiny)
    assert tuned and (model.variant, model.threads) == ("int8", 2)
    assert "int8" in capsys.readouterr().err  # another sound class is never silent
    model, tuned = load_tuned(tiny, variant="fp32")
    assert tuned and (model.variant, model.threads) == ("fp32", 2)
    model, tuned = load_tuned(tiny, variant="fp16", threads=1)
    assert not tuned and (model.variant, model.threads) == ("fp16", 1)
    assert distill.load(tiny).variant == "fp32"  # the library does not look at what the command keeps


def test_a_choice_for_another_machine_or_model_is_not_used(
        tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning.keep("0" * 16, Choice(threads=2), 10.0)
    assert tuning.recall(model_id(tiny)) is None
    path = tuning.keep(model_id(tiny), Choice(threads=2), 10.0)
    assert tuning.recall(model_id(tiny)) == Choice(threads=2)
    monkeypatch.setattr(tuning, "processor", lambda: "another processor")
    assert tuning.kept_path(model_id(tiny)) != path and tuning.recall(model_id(tiny)) is None


@pytest.mark.parametrize("text", ["", "{", '{"model_id": "x"}', '{"choice": {"variant": "int4"}}', "\xff", "[]"])
def test_a_broken_file_is_named_and_left_out(tiny: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tuning.keep(model_id(tiny), Choice(threads=2), 10.0)
    path.write_bytes(text.encode("latin-1"))
    assert tuning.recall(model_id(tiny)) is None
    message = capsys.readouterr().err
    assert str(path) in message and "distill bench" in message and message.count("\n") == 1


def test_a_folder_that_cannot_be_written(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(distill.FileError, match="DISTILL_CACHE"):
        tuning.keep(model_id(tiny), Choice(), 1.0)
    assert tuning.recall(model_id(tiny)) is None and (tmp_path / "file").read_text() == "x"


def test_memory_is_measured_in_a_process_of_its_own(tiny: Path) -> None:
    megabytes = benchmark._memory(open_bundle(tiny), "fp32")
    assert megabytes is not None and 20 < megabytes < 2000


def test_rounds_are_checked(tiny: Path, run: Run) -> None:
    result = run("distill", "bench", tiny, "--rounds", 0)
    assert result.returncode == 2 and "rounds is 0" in result.stderr and result.stdout == ""


def test_int8_is_chosen_only_when_allowed_and_faster() -> None:
    rows = [figures("fp32", 50), figures("fp16", 51), figures("int8", 80)]
    choice, why = choose(rows, {1: 50.0}, allow_int8=False)
    assert choice == Choice() and "--allow-int8" in why
    assert choose(rows, {1: 80.0}, allow_int8=True)[0] == Choice(variant="int8")
    rows[2] = figures("int8", 51)
    assert choose(rows, {1: 50.0}, allow_int8=True)[0] == Choice()
    assert choose(rows[:1], {1: 50.0}, allow_int8=True)[0] == Choice()


def test_threads_must_be_worth_it() -> None:
    rows = [figures("fp32", 50)]
    assert choose(rows, {1: 50.0, 4: 52.0}, False)[0].threads == 1
    choice, why = choose(rows, {1: 50.0, 4: 80.0}, False)
    assert choice.threads == 4 and "same samples" in why
