"""What all tests share: the tiny bundle that is committed, and the recordings of the demo corpus."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny"
BIN = Path(sys.executable).parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A bundle of 100 KB, made by tests/make_tiny.py."""
    return TINY


@pytest.fixture
def tiny_copy(tmp_path: Path) -> Path:
    """The tiny bundle, to be spoilt."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start one of our commands and go on; it hears Ctrl-C even where the tests run in the background of a shell,
    which makes programs deaf to it, and it does not outlive the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def call(program: str, *words: object, **options: object) -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([str(BIN / program), *map(str, words)],  # type: ignore[call-overload]
                                      preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options))
        return begun[-1]

    yield call
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def run() -> Run:
    """Run one of our commands as a user would: run("distill", "info", ...)."""
    def call(program: str, *words: object, **options: object) -> subprocess.CompletedProcess[str]:
        options = {"capture_output": True, "text": True, "timeout": 300, **options}
        return subprocess.run([str(BIN / program), *map(str, words)], check=False, **options)  # type: ignore[call-overload,no-any-return]
    return call


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same for `distill` in this process, for tests of many calls: here("info", ...). `input` is what is typed."""
    from distill.cli import door, main

    monkeypatch.setattr(door.signal, "signal", lambda number, action: None)

    def call(*words: object, input: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return subprocess.CompletedProcess(words, int(stop.value.code or 0), told.out, told.err)
    return call
