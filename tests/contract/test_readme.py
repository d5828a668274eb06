"""The README is held to the code: every command in its shell blocks runs, every Python block runs, every link leads
somewhere. Only two things are changed: training is cut short, and a player is replaced by a reader."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "pip "))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the demo corpus, as in a clone."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "corpus", folder / "corpus")
    return folder


def test_every_command_runs(place: Path) -> None:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
                   "DISTILL_MODELS": str(place / "models"),
                   "XDG_CONFIG_HOME": str(place / "config"), "XDG_CACHE_HOME": str(place / "cache")}
    assert any(c.startswith("distill-train") for c in commands()) and any("generate" in c for c in commands())
    for command in commands():
        shortened = re.sub(r"--minutes \S+", "--steps 3", command)
        shortened = re.sub(r"\| aplay.*", "| head -c 200000 > /dev/null", shortened)
        done = subprocess.run(["bash", "-o", "pipefail", "-c", shortened], cwd=place, env=environment, check=False,
                              capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_every_python_block_runs() -> None:
    program = "\n".join(blocks("python"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("https://") or (document.parent / target).exists(), (document.name, target)


def test_demo_table_is_filled_in() -> None:
    table = README.split("<!-- demo:begin -->")[1].split("<!-- demo:end -->")[0]
    for row in ("training", "bundle", "parity", "real-time factor", "level"):
        assert row in table
