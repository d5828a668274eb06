"""What all tests share: the tiny bundle that is committed, and the recordings of the demo corpus."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
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
def run() -> Run:
    """Run one of our commands as a user would: run("distill", "info", ...)."""
    def call(program: str, *words: object, **options: object) -> subprocess.CompletedProcess[str]:
        options = {"capture_output": True, "text": True, "timeout": 300, **options}
        return subprocess.run([str(BIN / program), *map(str, words)], check=False, **options)  # type: ignore[call-overload,no-any-return]
    return call
