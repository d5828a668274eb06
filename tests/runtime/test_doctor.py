"""doctor: a whole installation passes, each thing that is broken is named with its advice and its code."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from distill import doctor

Run = Callable[..., "CompletedProcess[str]"]


def test_a_whole_installation(tiny: Path, tmp_path: Path, run: Run) -> None:
    result = run("distill", "doctor", tiny, "--json")
    facts = json.loads(result.stdout)
    assert result.returncode == 0 and facts["ok"] is True and facts["exit_code"] == 0
    found = {row["name"]: row["found"] for row in facts["findings"]}
    assert {"distill", "machine", "packages", "providers", "models folder", "cache folder", "disk", "model",
            "stream"} <= set(found)
    assert "CPUExecutionProvider" in found["providers"] and "equals" in found["stream"]
    plain = run("distill", "doctor", tiny)
    assert plain.returncode == 0 and plain.stdout.splitlines()[-1] == "everything works" and plain.stderr == ""


def test_a_model_that_is_not_there_or_damaged(tiny_copy: Path, run: Run) -> None:
    assert run("distill", "doctor", "no-such-model").returncode == 3
    path = tiny_copy / "prior.npz"
    path.write_bytes(path.read_bytes()[:-5])
    result = run("distill", "doctor", tiny_copy)
    assert result.returncode == 4 and "FAIL" in result.stdout and "prior.npz" in result.stdout


def test_two_onnxruntimes_at_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wheels() -> list[Distribution]:
        return [SimpleNamespace(metadata={"Name": name}) for name in ("numpy", "onnxruntime", "onnxruntime_gpu")]  # type: ignore[misc]

    monkeypatch.setattr(doctor, "distributions", wheels)
    (finding,) = doctor._runtimes()
    assert finding.code == 5 and "onnxruntime and onnxruntime-gpu" in finding.found
    assert finding.advice is not None and "pip uninstall -y onnxruntime onnxruntime-gpu" in finding.advice
    assert next(f.code for f in doctor.examine(str(tiny)) if f.code) == 5


def test_a_folder_that_cannot_be_written(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path / "file" / "models"))
    finding = next(f for f in doctor._folders() if f.name == "models folder")
    assert finding.code == 7 and finding.advice is not None and "DISTILL_MODELS" in finding.advice
    monkeypatch.setenv("DISTILL_MODELS", str(tmp_path / "new" / "models"))
    assert next(f for f in doctor._folders() if f.name == "models folder").code == 0
    assert not (tmp_path / "new").exists()  # looking makes nothing


def test_an_absent_package(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "soxr" else honest(name))
    finding = next(f for f in doctor._versions() if f.name == "packages")
    assert finding.code == 2 and finding.advice == "pip install soxr"


def test_little_room_is_a_note_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_memory", lambda: 100_000_000)
    finding = next(f for f in doctor._room() if f.name == "memory")
    assert finding.code == 0 and finding.advice is not None
