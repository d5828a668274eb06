"""The list of commands is written down so that help is quick; it must say what the commands themselves say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from distill.cli.commands import COMMANDS
from distill.cli.lazy import first_line

Run = Callable[..., "CompletedProcess[str]"]


@pytest.mark.parametrize("name", list(COMMANDS.table))
def test_the_table_says_what_the_command_says(name: str) -> None:
    assert COMMANDS[name].name == name
    assert COMMANDS.table[name][2] == first_line(COMMANDS[name])


def test_help_imports_no_command(run: Run) -> None:
    code = ("import sys, distill.cli\n"
            "try: distill.cli.main(['--help'])\n"
            "except SystemExit: pass\n"
            "print([m for m in sys.modules if m.startswith('distill.cli.') and m.split('.')[-1] not in "
            "('commands', 'door', 'lazy')], [m for m in ('numpy', 'onnxruntime', 'msgspec') if m in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[] []"
    for name in COMMANDS.table:
        assert f"  {name} " in result.stdout


def test_generate_imports_only_what_it_plays_and_writes(tiny: Path, tmp_path: Path) -> None:
    code = ("import sys, distill.cli\n"
            "try: distill.cli.main(sys.argv[1:])\n"
            "except SystemExit: pass\n"
            "print([m for m in ('walk', 'segments', 'interpolate', 'vector', 'events')\n"
            "       if f'distill.latents.{m}' in sys.modules],\n"
            "      [m for m in ('soundfile', 'soxr', 'distill.live', 'distill.blending') if m in sys.modules])")
    words = ["generate", str(tiny), "--seconds", "0.5", "-o", str(tmp_path / "x.wav")]
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "['walk'] []", result


@pytest.mark.parametrize(("arguments", "own"), [("", True), ("['--help']", False)])
def test_a_process_of_its_own_is_settled_before_typer_is_imported(tmp_path: Path, arguments: str, own: bool) -> None:
    (tmp_path / "typer.py").write_text(
        "import gc, os\n"
        "print(gc.get_threshold()[0], os.environ.get('OPENBLAS_NUM_THREADS'), flush=True)\n"
        "os._exit(0)\n")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom distill.cli import main\nmain({arguments})"
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    for given, threads in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3"), ({"OMP_NUM_THREADS": "2"}, None)):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                                env={**bare, **given})
        threshold, found = result.stdout.split()
        assert (threshold == "100000") == own
        assert found == str(threads if own else given.get("OPENBLAS_NUM_THREADS"))


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("distill", "generat")
    assert result.returncode == 2 and "generat" in result.stderr
    assert "generate" in result.stderr  # did you mean
