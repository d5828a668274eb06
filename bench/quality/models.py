"""A trained model between analysis and synthesis, on files that it was trained on and on files that were held out.

Ours is trained and exported by its own commands and run by the runtime; the systems of others are trained here, on the
same division of the corpus.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import distill
from distill.errors import InvalidValue
from distill_train.checkpoint import Checkpoint, load_checkpoint
from distill_train.config import decoder_mmac_per_second, size_of
from distill_train.options import DEFAULT_SIZE
from distill_train.schedule import Budget

from .division import SEED, Division
from .measure import Yardstick
from .recordings import SAMPLE_RATE, Recording, load, spread
from .results import MODEL, NO_MODEL, Row, Training
from .schemes import Ours, Scheme

Floats = NDArray[np.float32]
Tell = Callable[[str], None]
Cases = Sequence[tuple[str, Recording]]  # split, recording


class System(Protocol):
    """Anything that can be given a sound and gives one back."""

    @property
    def name(self) -> str: ...

    @property
    def numbers_per_second(self) -> float: ...

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        """A sound as long as the recording, and the CPU seconds that decoding and synthesis took."""
        ...


class Trip:
    """A scheme without a model: how good a model on it can be."""

    def __init__(self, scheme: Scheme, name: str) -> None:
        self._scheme, self.name = scheme, name
        self.numbers_per_second = scheme.numbers_per_second

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        spectrogram = self._scheme.analyze(recording.sound)
        start = time.process_time()
        return self._scheme.synthesize(spectrogram, len(recording.sound)), time.process_time() - start


class Bundle:
    """A bundle, as anyone would use it: encode, then synthesize."""

    def __init__(self, path: Path, name: str = MODEL) -> None:
        self.name = name
        self.model = distill.load(path, device="cpu")
        self.numbers_per_second = self.model.latent_dim * self.model.sidecar.latent.rate_hz

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        sound = recording.sound
        latents = self.model.encode(sound, SAMPLE_RATE)
        length = -(-len(sound) * self.model.sample_rate // SAMPLE_RATE)
        start = time.process_time()
        made = self.model.synthesize(latents, "balanced", length)
        cost = time.process_time() - start
        if self.model.sample_rate != SAMPLE_RATE:
            import soxr

            made = soxr.resample(made, self.model.sample_rate, SAMPLE_RATE).astype(np.float32)
        return np.pad(made, (0, max(0, len(sound) - len(made))))[: len(sound)], cost


@dataclass(frozen=True)
class Trained:
    """A run of ours and its bundle."""

    checkpoint: Checkpoint
    bundle: Path
    threads: int  # of its training

    @property
    def budget(self) -> Budget:
        return self.checkpoint.budget

    @property
    def name(self) -> str:
        """Of the system: with its `--size` where it has the shape of one that is not the default."""
        size = size_of(self.checkpoint.network, self.checkpoint.spec)
        return MODEL if size in (DEFAULT_SIZE, "other") else f"{MODEL}, {size}"

    def systems(self) -> list[System]:
        """The bundle, and the round trip of its own spectrograms, floor included."""
        bundle = Bundle(self.bundle, self.name)
        return [Trip(Ours("balanced", spec=bundle.model.spec), NO_MODEL), bundle]

    def training(self, category: str) -> Training:
        """What the page says about it."""
        ck, size = self.checkpoint, (self.bundle / "decoder.onnx").stat().st_size / 1e6
        seen = ck.steps * ck.recipe.batch_size * ck.recipe.crop_frames / ck.spec.frame_rate_hz
        cost = decoder_mmac_per_second(ck.network, ck.spec.frame_rate_hz)
        return Training(category, label(self.budget), self.name, ck.steps, ck.elapsed_seconds, "wall", self.threads,
                        f"{ck.spec.n_mels} bands, n_fft {ck.spec.n_fft}, {ck.network.latent_dim} latent dimensions; "
                        f"a decoder of {size:.1f} MB, {cost:.0f} million multiply-accumulates a second; "
                        f"{seen / ck.elapsed_seconds:.0f} s of audio seen a second")


def parse_budget(word: str) -> Budget:
    """"minutes=1" or "steps=300". Raises InvalidValue."""
    unit, _, amount = word.partition("=")
    points = 1 if unit == "minutes" else 0
    if unit not in ("minutes", "steps") or not amount.replace(".", "", points).isdigit() or not float(amount):
        raise InvalidValue(f"models is {word!r}; it must be minutes=M or steps=N, such as minutes=1")
    return Budget(seconds=60 * float(amount)) if unit == "minutes" else Budget(steps=int(amount))


def label(budget: Budget) -> str:
    """"1 minute", "2.5 minutes", "300 steps"."""
    unit = "step" if budget.steps is not None else "minute"
    amount = budget.steps if budget.steps is not None else (budget.seconds or 0) / 60
    return f"{amount:g} {unit}{'' if amount == 1 else 's'}"


def train_and_export(division: Division, budget: Budget, work: Path, threads: int, size: str) -> Trained:
    """Train with `distill-train`, export with `distill-export`, each as a user would call it."""
    place = work / division.category / f"{label(budget)} {size}".replace(" ", "-")
    run, bundle = place / "run", place / "bundle"
    limit = ("--steps", budget.steps) if budget.steps is not None else ("--minutes", (budget.seconds or 0) / 60)
    _command("distill-train", division.corpus(place), "-o", run, *limit, "--seed", SEED, "--threads", threads,
             "--size", size, "--device", "cpu", "--force")
    _command("distill-export", run, "-o", bundle, "--name", division.category, "--force")
    return Trained(load_checkpoint(run), bundle, threads)


def recordings(division: Division, files: int, seconds: float) -> Cases:
    """What to measure on: up to `files` training files and as many held-out ones, each with its split."""
    return [(split, found) for split, held_out in (("training", False), ("held out", True))
            for path in spread(division.paths(held_out), files) if (found := load(path, seconds)) is not None]


def measure_models(category: str, budget: str, cases: Cases, systems: Sequence[System], pitch: bool,
                   tell: Tell) -> list[Row]:
    """A row for each of the `recordings` and each system."""
    clock = Trip(Ours("fast"), "clock")
    for system in [clock, *systems]:
        system.reconstruct(cases[0][1])  # fills caches and tables
    rows = []
    for split, recording in cases:
        tell(f"models: {category}, {budget}, {split}: {recording.path.name}")
        yardstick = Yardstick(recording, pitch)
        _, unit = clock.reconstruct(recording)
        for system in systems:
            sound, cost = system.reconstruct(recording)
            values = {**yardstick.measure(sound), "cost": cost / unit}
            rows.append(Row(part="models", category=category, split=split, system=system.name,
                            file=recording.path.name, numbers_per_second=system.numbers_per_second,
                            cpu_ms_per_second=1000 * cost / recording.seconds, values=values, budget=budget))
    return rows


def _command(program: str, *words: object) -> None:
    """Run one of our commands beside this Python; what it has to say goes to the terminal."""
    plain = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run([str(Path(sys.executable).parent / program), *map(str, words)], check=False, env=plain)
    if done.returncode:
        sys.exit(done.returncode)
