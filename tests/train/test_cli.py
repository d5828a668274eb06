"""The command as a user meets it: exit codes, one-line errors, signals, JSON on stdout and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill_train import cli, load_checkpoint

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
COMMAND = [sys.executable, "-m", "distill_train"]


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_help_has_an_example_and_needs_no_torch() -> None:
    for words, example in (([], "distill-train bells/ -o"), (["inspect"], "distill-train inspect bells/")):
        script = (f"import sys; sys.modules['torch'] = None\nfrom distill_train.cli import main\n"
                  f"main({[*words, '--help']!r})")
        done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0 and example in done.stdout, done.stderr


def test_without_torch_the_missing_extra_is_named(corpus: Path, tmp_path: Path) -> None:
    script = (f"import sys; sys.modules['torch'] = None\nfrom distill_train.cli import main\n"
              f"main([{str(corpus)!r}, '-o', {str(tmp_path / 'run')!r}])")
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "distill-train: torch is not installed; run: pip install 'distill-audio[train]'\n"


def test_train_and_inspect(
    corpus: Path, tmp_path: Path, small_flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "--json", "-o", tmp_path / "run", "--steps", 3, "--seed", 5, *small_flags, corpus)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["steps"] == 3 and summary["seed"] == 5 and summary["complete"]
    assert summary["corpus"] == {"files": 6, "seconds": pytest.approx(4.8), "training": 5, "held_out": 1, "left_out": 0}
    assert summary["spec"]["n_mels"] == 64 and summary["spec"]["floor_db"] < -80
    assert "seed 5" in err and "first model saved after" in err and "floor:" in err
    assert "\r" not in err and "\x1b" not in err

    code, out, _ = call(capsys, "inspect", corpus, "--json")
    assert code == 0 and json.loads(out)["files"] == 6
    code, out, _ = call(capsys, "--json", "inspect", corpus)
    assert code == 0 and json.loads(out)["files"] == 6
    code, out, _ = call(capsys, "inspect", corpus)
    assert code == 0 and "6 recordings" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{tmp}/nowhere", "-o", "{tmp}/run"], 3, "does not exist"),
        (["inspect", "{tmp}/nowhere"], 3, "does not exist"),
        (["{tmp}/empty", "-o", "{tmp}/run"], 2, "is empty"),
        (["{corpus}"], 2, "--output"),
        (["{corpus}", "-o", "{tmp}/run", "--steps", "0"], 2, "steps is 0"),
        (["{corpus}", "-o", "{tmp}/run", "--minutes", "nan"], 2, "above 0"),
        (["{corpus}", "-o", "{tmp}/run", "--minutes", "1", "--steps", "1"], 2, "not both"),
        (["{corpus}", "-o", "{tmp}/run", "--n-mels", "3"], 2, "n_mels is 3"),
        (["{corpus}", "-o", "{tmp}/run", "--floor-db", "5"], 2, "floor_db"),
        (["{corpus}", "-o", "{tmp}/run", "--size", "huge"], 2, "small, base, large"),
        (["{corpus}", "-o", "{tmp}/run", "--pitch-copies", "3"], 2, "0, 2, 4, 12"),
        (["{corpus}", "-o", "{tmp}/run", "--device", "tpu"], 2, "auto, cpu, cuda"),
        (["{corpus}", "-o", "{tmp}/run", "--seed", "-1"], 2, "seed is -1"),
        (["{corpus}", "-o", "{tmp}/run", "--threads", "0"], 2, "threads is 0"),
        (["{corpus}", "-o", "{tmp}/run", "--resume"], 3, "no run to resume"),
        (["{corpus}", "-o", "{tmp}/run", "--resume", "--force"], 2, "not both"),
        (["{corpus}", "-o", "{tmp}/run", "--from", "{tmp}/nowhere"], 3, "does not exist"),
        (["{corpus}", "-o", "{tmp}/run", "--from", "{tmp}/file"], 4, "Incompatible model format"),
        (["{corpus}", "-o", "{tmp}/run", "--from", "{tmp}/file", "--resume"], 2, "leave --from or --resume out"),
        (["{corpus}", "-o", "{tmp}/file"], 7, "is a file"),
        (["{corpus}", "-o", "{tmp}/file/run"], 7, "cannot write"),
        (["{corpus}", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    got, out, err = call(capsys, *(word.format(tmp=tmp_path, corpus=corpus) for word in words))
    last = err.splitlines()[-1]
    assert got == code and message in last and last.startswith("distill-train"), err
    assert out == "" and "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("flag", "value"), [("--size", "large"), ("--n-mels", "48"), ("--n-fft", "1024"),
                                            ("--sample-rate", "8000"), ("--hop-length", "64"), ("--floor-db", "-70")])
def test_a_child_cannot_have_another_shape(
    corpus: Path, tmp_path: Path, small_flags: list[str], capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    assert call(capsys, corpus, "-o", tmp_path / "parent", "--steps", 1, *small_flags)[0] == 0
    code, _, err = call(capsys, corpus, "-o", tmp_path / "child", "--from", tmp_path / "parent", flag, value)
    assert code == 2 and len(err.splitlines()) == 1 and f"{flag} is" in err and "leave --from out" in err
    assert not (tmp_path / "child").exists()


def test_cuda_that_is_not_there_is_a_device_error(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = call(capsys, corpus, "-o", tmp_path / "run", "--device", "cuda")
    assert code == 5 and len(err.splitlines()) == 1


def test_a_foreign_checkpoint_is_exit_code_4(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_text("old")
    code, _, err = call(capsys, corpus, "-o", tmp_path / "run", "--resume")
    assert code == 4 and "Incompatible model format. Please retrain with current version." in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    corpus: Path, tmp_path: Path, small_flags: list[str], number: int, code: int
) -> None:
    run = tmp_path / "run"
    words = [*COMMAND, str(corpus), "-o", str(run), "--minutes", "5", *small_flags]
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert out == "" and "--resume" in err.splitlines()[-1] and "Traceback" not in err
    checkpoint = load_checkpoint(run)
    assert checkpoint.steps > 0 and not checkpoint.complete
    assert not list(run.rglob(".*.partial"))


