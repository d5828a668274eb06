"""The checkpoint of a run: one file, one dict of tensors and plain values, which `torch.load(weights_only=True)` reads.

    format, version         "distill.checkpoint", 1
    spec, stats, network    what the numbers mean: SpectrogramSpec, mean and std, NetworkConfig
    recipe, budget, seed    how it was trained
    weights, ema, optimizer, rng        everything that the next step depends on
    best                    the averaged weights at the moment when they did best
    steps, elapsed_seconds, complete    how far it has come
    chosen                  "ema", "raw" or "best": which weights did best and are the model
    corpus                  the recordings: name, seconds, rate, hash, held out or not
    ancestors               SHA-256 of the checkpoints whose weights it began with, oldest first; usually none
    history                 held-out error over time
    libraries, created      versions; when the training ended (None before that)
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.errors import INCOMPATIBLE, BundleError, DistillError, FileError, NotFound
from distill.spec import SpectrogramSpec

from .config import NetworkConfig, Recipe
from .files import atomic_write
from .manifest import CorpusFile
from .network import Decoder, Encoder
from .pca import rescale
from .schedule import Budget
from .statistics import Statistics

CHECKPOINT_FILE = "checkpoint.pt"
FORMAT = "distill.checkpoint"
VERSION = 1
READER = "decoder.frequency."  # begins the names of the weights that read frequencies off levels


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment. Tensors are on the CPU."""

    spec: SpectrogramSpec
    stats: Statistics
    network: NetworkConfig
    recipe: Recipe
    budget: Budget
    seed: int
    weights: dict[str, Tensor]  # "encoder.…" and "decoder.…"
    ema: dict[str, Tensor]  # the moving average of the same
    best: dict[str, Tensor]  # the moving average at the moment when it did best
    optimizer: dict[str, Any]
    rng: dict[str, Tensor]
    steps: int
    elapsed_seconds: float  # of training, over all resumptions
    complete: bool  # the budget is used up
    chosen: str  # "ema", "raw" or "best"
    corpus: tuple[CorpusFile, ...]
    latent_scale: tuple[float, ...]
    ancestors: tuple[str, ...]  # SHA-256 of the checkpoints it descends from, oldest first
    history: list[dict[str, float]]
    libraries: dict[str, str]
    created: str | None  # UTC, ISO 8601
    sha256: str = field(default="", compare=False)  # of the file it was read from

    @property
    def model_weights(self) -> dict[str, Tensor]:
        """The chosen ones, with the averaged ones of what reads frequencies off levels.

        These learn from the recordings' own levels, whatever the other weights make of them; so the latest are the
        best, also beside earlier ones.
        """
        chosen = {"ema": self.ema, "raw": self.weights, "best": self.best}[self.chosen]
        return chosen | {name: tensor for name, tensor in self.ema.items() if name.startswith(READER)}

    def build_networks(self) -> tuple[Encoder, Decoder]:
        """Encoder and decoder with the chosen weights and scaled latents, on the CPU, in eval mode."""
        encoder, decoder = Encoder(self.network), Decoder(self.network)
        split_weights(self.model_weights, encoder, decoder)
        rescale(encoder, decoder, self.latent_scale)
        return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)


def join_weights(encoder: Encoder, decoder: Decoder) -> dict[str, Tensor]:
    """One state dict for both networks, sharing their tensors."""
    return {
        f"{prefix}.{name}": tensor
        for prefix, network in (("encoder", encoder), ("decoder", decoder))
        for name, tensor in network.state_dict().items()
    }


def split_weights(weights: Mapping[str, Tensor], encoder: Encoder, decoder: Decoder) -> None:
    """Load `join_weights`' dict back. Raises RuntimeError where names or shapes do not match."""
    for prefix, network in (("encoder.", encoder), ("decoder.", decoder)):
        network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all. Raises FileError."""
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for key in _KEYS:
        value = getattr(checkpoint, key)
        content[key] = asdict(value) if key in _PARTS else value
    content["corpus"] = [asdict(file) for file in checkpoint.corpus]
    buffer = io.BytesIO()  # torch hides a full disk behind an error of its own; writing bytes does not
    torch.save(content, buffer)
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())


def checkpoint_path(run: Path) -> Path:
    """A run folder's checkpoint; a file stands for itself."""
    return run / CHECKPOINT_FILE if run.is_dir() else run


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a run folder or a checkpoint file.

    Raises NotFound if there is none, FileError if it cannot be read, BundleError if it is not ours, broken or old.
    """
    file = checkpoint_path(Path(path))
    if not file.exists():
        raise NotFound(f"{file} does not exist; a run folder made by distill-train has it")
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, LookupError, TypeError) as error:
        raise _incompatible(file, "not a checkpoint, or damaged") from error
    try:
        return _parse(content, digest)
    except (DistillError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise _incompatible(file, str(error)) from error


_KEYS = tuple(f.name for f in fields(Checkpoint) if f.name != "sha256")
_PARTS: dict[str, Any] = {
    "spec": SpectrogramSpec, "stats": Statistics, "network": NetworkConfig, "recipe": Recipe, "budget": Budget,
}


def _parse(content: object, digest: str) -> Checkpoint:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("not a checkpoint of distill")
    if content.get("version") != VERSION:
        raise ValueError(f"version {content.get('version')!r}, not {VERSION}")
    _same_keys("the checkpoint", content, {"format", "version", *_KEYS})
    values = {key: content[key] for key in _KEYS}
    for key, kind in _PARTS.items():
        _same_keys(key, values[key], {f.name for f in fields(kind)})
        values[key] = kind(**values[key])
    for file in values["corpus"]:
        _same_keys("corpus", file, {f.name for f in fields(CorpusFile)})
    values["corpus"] = tuple(CorpusFile(**file) for file in values["corpus"])
    scale = values["latent_scale"] = tuple(values["latent_scale"])
    if len(scale) != values["network"].latent_dim or not all(math.isfinite(factor) and factor > 0 for factor in scale):
        raise ValueError("latent_scale is not a number above 0 for each latent")
    if values["chosen"] not in ("ema", "raw", "best"):
        raise ValueError(f"chosen is {values['chosen']!r}, not ema, raw or best")
    if values["network"].n_mels != values["spec"].n_mels:
        raise ValueError(f"a network for {values['network'].n_mels} bands with a spec of {values['spec'].n_mels}")
    checkpoint = Checkpoint(**values, sha256=digest)
    checkpoint.build_networks()  # names and shapes of the weights
    for name, tensor in checkpoint.model_weights.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinite numbers")
    return checkpoint


def _same_keys(what: str, given: object, wanted: set[str]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{what} is not a table")
    for name in sorted(wanted - given.keys()):
        raise ValueError(f"{what} lacks {name}")
    for name in sorted(given.keys() - wanted):
        raise ValueError(f"{what} has the unknown key {name}")


def _incompatible(file: Path, detail: str) -> BundleError:
    return BundleError(f"{INCOMPATIBLE} ({file}: {' '.join(detail.split())[:200]})")
