"""RAVE v2, trained for as long as ours on the same recordings: its own networks and distances, in a process of its own.

Its package asks for older libraries than ours, so it gets a virtual environment of its own, which borrows torch and
numpy from this one and takes nothing else along than what its networks import.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.errors import DistillError, NotFound
from distill_train.schedule import Budget

from .recordings import SAMPLE_RATE, Recording

Floats = NDArray[np.float32]

LATENT_SIZE, HOP = 128, 2048
_PACKAGES = ("acids-rave==2.3.1 cached-conv==2.5.0 gin-config einops udls lmdb GPUtil absl-py PyYAML tqdm flask "
             "werkzeug itsdangerous blinker click pytorch-lightning lightning-utilities lightning-fabric torchmetrics "
             "tensorboard").split()


class BenchFailed(DistillError):
    """Something outside of ours did not work."""


class Rave:
    """What it gave back for each recording, kept."""

    name = "RAVE v2"
    numbers_per_second = LATENT_SIZE * SAMPLE_RATE / HOP

    def __init__(self, made: dict[Path, tuple[Floats, float]]) -> None:
        self._made = made

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        """The sound, and the CPU seconds of decoding."""
        return self._made[recording.path]


def train(sounds: Sequence[Floats], cases: Sequence[Recording], budget: Budget, processors: int, python: Path | None,
          work: Path) -> tuple[Rave, int, float]:
    """Train on `sounds` (mono, at SAMPLE_RATE), then give back the recordings of `cases`; the steps and the seconds of
    processor time that it took.

    A budget of seconds is one of `processors` times as much processor time, spent on one thread. python: one that has
    acids-rave; None makes one under `work`. Raises BenchFailed, NotFound.
    """
    interpreter = python or environment(work / "rave")
    worker = Path(__file__).with_name("rave_worker.py")
    with tempfile.TemporaryDirectory(prefix="distill-rave-") as folder:
        job, result = Path(folder) / "job.npz", Path(folder) / "result.npz"
        given: dict[str, Any] = {"seconds": np.inf if budget.seconds is None else processors * budget.seconds,
                                 "steps": budget.steps or np.inf, "sample_rate": SAMPLE_RATE,
                                 **{f"train_{i}": sound for i, sound in enumerate(sounds)},
                                 **{f"case_{i}": case.sound for i, case in enumerate(cases)}}
        np.savez(job, **given)
        _run([str(interpreter), "-P", str(worker), str(job), str(result)])
        with np.load(result) as found:
            made = {case.path: (found[f"case_{i}"], float(found[f"cpu_{i}"])) for i, case in enumerate(cases)}
            return Rave(made), int(found["steps"]), float(found["seconds"])


def check(python: Path | None) -> None:
    """Raise NotFound now rather than after minutes of training."""
    if python is not None and not python.is_file():
        raise NotFound(f"{python} does not exist; --rave-python must name a Python that has acids-rave")


def environment(folder: Path) -> Path:
    """The Python of a virtual environment that has acids-rave, made if need be."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / ".installed"
    if not done.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
        site = subprocess.run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                              check=True, capture_output=True, text=True).stdout.strip()
        Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *_PACKAGES])
        done.touch()
    return python


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise BenchFailed(f"{' '.join(words[:4])} ... ended with {done.returncode}; leave --rave out to go on without")
