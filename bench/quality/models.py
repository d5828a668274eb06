"""A trained model between analysis and synthesis, exported and run by the runtime, on files that it was trained on
and on files that were held out."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import distill
from distill.errors import InvalidValue
from distill_train.audio import resample
from distill_train.checkpoint import Checkpoint, load_checkpoint
from distill_train.reader import read_mono

from .measure import Yardstick
from .recordings import SAMPLE_RATE, Recording, by_content, load, spread
from .results import Row
from .schemes import Ours, Scheme

Floats = NDArray[np.float32]
Tell = Callable[[str], None]
SEED = 1


class System(Protocol):
    """Anything that can be given a sound and gives one back."""

    @property
    def name(self) -> str: ...

    @property
    def numbers_per_second(self) -> float: ...

    def reconstruct(self, recording: Recording) -> tuple[Floats, float]:
        """A sound as long as the recording, and the CPU seconds that synthesis took."""
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

    name = "distill model"

    def __init__(self, path: Path) -> None:
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
    """A run, its bundle, and the files that its manifest names, as they lie here: (path, held out)."""

    category: str
    checkpoint: Checkpoint
    bundle: Path
    files: tuple[tuple[Path, bool], ...]

    def paths(self, held_out: bool) -> list[Path]:
        return sorted(path for path, out in self.files if out == held_out)

    def facts(self) -> dict[str, Any]:
        """What the page says about it."""
        ck = self.checkpoint
        return {
            "minutes": round(ck.elapsed_seconds / 60, 2), "steps": ck.steps, "seed": ck.seed,
            "training": len(self.paths(False)), "held_out": len(self.paths(True)),
            "seconds": round(sum(f.seconds for f in ck.corpus)), "bands": ck.spec.n_mels, "n_fft": ck.spec.n_fft,
            "latent_dim": ck.network.latent_dim, "copies": len(ck.recipe.pitches) - 1,
            "mbytes": round((self.bundle / "decoder.onnx").stat().st_size / 1e6, 1),
        }


def parse_budget(word: str) -> tuple[str, str]:
    """"minutes=1" -> ("--minutes", "1"); "steps=300" -> ("--steps", "300"). Raises InvalidValue."""
    unit, _, amount = word.partition("=")
    if unit not in ("minutes", "steps") or not amount.replace(".", "", 1).isdigit() or float(amount) <= 0:
        raise InvalidValue(f"models is {word!r}; it must be minutes=M or steps=N, such as minutes=1")
    return f"--{unit}", amount


def train_and_export(category: str, folders: Sequence[Path], budget: str, work: Path, threads: int) -> Trained:
    """Train on the folders with `distill-train`, export with `distill-export`, each as a user would call it."""
    run, bundle = work / category / "run", work / category / "bundle"
    corpus = folders[0] if len(folders) == 1 else _linked(folders, work / category / "corpus")
    _command("distill-train", corpus, "-o", run, *parse_budget(budget), "--seed", SEED, "--threads", threads,
             "--device", "cpu", "--force")
    _command("distill-export", run, "-o", bundle, "--name", category, "--force")
    return known({category: folders}, run, bundle)


def known(categories: Mapping[str, Sequence[Path]], run: Path, bundle: Path) -> Trained:
    """A run and a bundle that exist already. Its recordings are found among the categories' files by their content.

    Raises InvalidValue if one of them is not there, NotFound and BundleError for what is no run or no bundle.
    """
    checkpoint, present = load_checkpoint(run), by_content(categories)
    missing = [file.name for file in checkpoint.corpus if file.sha256 not in present]
    if missing:
        raise InvalidValue(f"{run}: {len(missing)} of its {len(checkpoint.corpus)} recordings, {missing[0]!r} among "
                           "them, are in no folder given; name the corpus it was trained on as NAME=FOLDER")
    found = [(*present[file.sha256], file.held_out) for file in checkpoint.corpus]
    return Trained(found[0][0], checkpoint, bundle, tuple((path, out) for _, path, out in found))


def recordings(trained: Trained, files: int, seconds: float) -> list[tuple[str, Recording]]:
    """What to measure on: up to `files` training files and as many held-out ones, each with its split."""
    return [(split, found) for split, held_out in (("training", False), ("held out", True))
            for path in spread(trained.paths(held_out), files) if (found := load(path, seconds)) is not None]


def measure_models(category: str, cases: Sequence[tuple[str, Recording]], systems: Sequence[System], pitch: bool,
                   tell: Tell) -> list[Row]:
    """A row for each of the `recordings` and each system."""
    rows = []
    for split, recording in cases:
        tell(f"models: {category}, {split}: {recording.path.name}")
        yardstick = Yardstick(recording, pitch)
        for system in systems:
            sound, cost = system.reconstruct(recording)
            rows.append(Row(part="models", category=category, split=split, system=system.name,
                            file=recording.path.name, numbers_per_second=system.numbers_per_second,
                            cpu_ms_per_second=1000 * cost / recording.seconds, values=yardstick.measure(sound)))
    return rows


def training_sounds(trained: Trained) -> list[Floats]:
    """The whole of every training file at its own level, mono, at SAMPLE_RATE: for the systems of others."""
    sounds = [read_mono(path) for path in trained.paths(False)]
    return [resample(sound, rate, SAMPLE_RATE) for sound, rate in sounds]


def own_systems(trained: Trained) -> list[System]:
    """The bundle, and the round trip of its own spectrograms, floor included."""
    bundle = Bundle(trained.bundle)
    return [Trip(Ours("balanced", spec=bundle.model.spec), "distill, no model"), bundle]


def _linked(folders: Sequence[Path], corpus: Path) -> Path:
    """One folder with a link to each: `distill-train` takes one and follows links."""
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for number, folder in enumerate(folders, 1):
        (corpus / f"{number}-{folder.name}").symlink_to(folder.resolve(), target_is_directory=True)
    return corpus


def _command(program: str, *words: object) -> None:
    """Run one of our commands beside this Python; what it has to say goes to the terminal."""
    done = subprocess.run([str(Path(sys.executable).parent / program), *map(str, words)], check=False)
    if done.returncode:
        sys.exit(done.returncode)
