"""The commands as whole processes: what starting costs, and how much memory they hold."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .common import goal

STARTS = 25  # of each command


def commands(bundle: Path, goals: list[str]) -> str:
    """Whole processes: processor time of user and system, and the most memory they held."""
    command = [sys.executable, "-c", "from distill.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        def generate(seconds: int) -> list[str]:
            return [*command, "generate", str(bundle), "--seconds", str(seconds), "--seed", "1", "--force", "-o",
                    f"{folder}/x.wav"]

        tasks = {"python -c 'import numpy, onnxruntime, soundfile, typer'":
                 [sys.executable, "-c", "import numpy, onnxruntime, soundfile, typer"],
                 "distill generate --seconds 5 -o x.wav": generate(5),
                 "python -c 'import typer'": [sys.executable, "-c", "import typer"],
                 "distill --help": [*command, "--help"]}
        spent: dict[str, list[float]] = {name: [] for name in tasks}
        for number in range(STARTS + 1):
            for name, task in tasks.items():
                seconds, _ = _process(task)
                if number:  # the first round writes byte code and fills caches
                    spent[name].append(seconds)
        memory = _process(generate(60))[1]
    times = {name: sorted(values)[STARTS // 2] for name, values in spent.items()}
    imports, five, typer, help_ = times.values()
    goals += [goal("`distill generate --seconds 5`, against importing what it needs", five / imports, 1.4,
                    "times the time"),
              goal("`distill --help`, against importing typer", help_ / typer, 1.3, "times the time"),
              goal("memory of `distill generate --seconds 60`", memory, 150, "MB")]
    lines = ["## Commands\n", "Whole processes, from start to end: processor time of user and system, median of "
             f"{STARTS} rounds, taken in turns.\n", "| what | ms |", "|---|---|"]
    lines += [f"| `{name}` | {seconds * 1e3:.0f} |" for name, seconds in times.items()]
    lines.append(f"\nA minute of sound, `distill generate --seconds 60`, takes {memory:.0f} MB of memory at most.\n")
    return "\n".join(lines)


def _process(arguments: list[str]) -> tuple[float, float]:
    """Run to the end -> processor time in seconds, most memory in MB."""
    # through a small process: what a child held at its birth, a copy of its parent, counts as its own memory
    # and with byte code, as what is installed has it, even where Python is told to write none
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run([sys.executable, "-c", _METER, *arguments], capture_output=True, text=True,
                            env=environment)
    if result.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed: {result.stderr}")
    seconds, kilobytes = result.stdout.split()
    return float(seconds), int(kilobytes) / 1024


_METER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
