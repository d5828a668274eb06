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

from .recordings import SAMPLE_RATE, Recording

Floats = NDArray[np.float32]

NOTE = ("*RAVE v2*: the networks, distances and optimiser of `acids-rave` 2.3.1, first phase (its discriminator begins "
        "at a million steps), batches of 4 crops of 32768 samples, for the same time.")
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

    def __init__(self, steps: int, made: dict[Path, tuple[Floats, float]]) -> None:
        self.steps, self._made = steps, made

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        """The sound, and the CPU seconds of decoding."""
        return self._made[recording.path]


def train(sounds: Sequence[Floats], cases: Sequence[Recording], seconds: float, threads: int, python: Path | None,
          work: Path) -> Rave:
    """Train on `sounds` (mono, at SAMPLE_RATE) for `seconds`, then give back the recordings of `cases`.

    python: one that has acids-rave; None makes one under `work`. Raises BenchFailed, NotFound.
    """
    if python is not None and not python.is_file():
        raise NotFound(f"{python} does not exist; --rave-python must name a Python that has acids-rave")
    interpreter = python or environment(work / "rave")
    worker = Path(__file__).with_name("rave_worker.py")
    with tempfile.TemporaryDirectory(prefix="distill-rave-") as folder:
        job, result = Path(folder) / "job.npz", Path(folder) / "result.npz"
        given: dict[str, Any] = {"seconds": seconds, "threads": threads, "sample_rate": SAMPLE_RATE,
                                 **{f"train_{i}": sound for i, sound in enumerate(sounds)},
                                 **{f"case_{i}": case.sound for i, case in enumerate(cases)}}
        np.savez(job, **given)
        _run([str(interpreter), "-P", str(worker), str(job), str(result)], threads)
        found = np.load(result)
        return Rave(int(found["steps"]), {
            case.path: (found[f"case_{i}"], float(found[f"cpu_{i}"])) for i, case in enumerate(cases)})


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


def _run(words: Sequence[str], threads: int = 1) -> None:
    done = subprocess.run(words, check=False, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if done.returncode:
        raise BenchFailed(f"{' '.join(words[:4])} ... ended with {done.returncode}; leave --rave out to go on without")
