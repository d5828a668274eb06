"""What was measured on this machine, kept, and used again.

`distill bench` measures; the best choice is kept in one small JSON file per model and machine, in the user's cache
folder. Only what makes the same samples is ever chosen by itself: threads whose result is bit-equal to one thread's.
Another sound class (int8) is chosen only when the user asked for it; the length of a chunk never, since the grid
belongs to the model's sound.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from .bundle import Bundle, open_bundle
from .errors import FileError
from .sidecar import Part, Variant

if TYPE_CHECKING:
    from .engine import Device
    from .model import Model


class Choice(Part, frozen=True):
    """How to run one model on one machine."""

    variant: Variant = "fp32"
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1


class Kept(Part, frozen=True):
    """The file: a choice and what it was measured for."""

    model_id: str
    machine: str
    choice: Choice
    real_time_factor: Annotated[float, Meta(gt=0, description="of the choice, quality balanced")]


def cache_folder() -> Path:
    """`$DISTILL_CACHE`, else distill's folder in the platform's cache folder."""
    chosen = os.environ.get("DISTILL_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "distill" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "distill"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distill"


def machine() -> dict[str, str | int]:
    """What decides about speed here, and `fingerprint`, a hash of it."""
    facts: dict[str, str | int] = {
        "system": platform.system(), "architecture": platform.machine(), "processor": processor(), "cores": cores(),
        **{package: _version(package) for package in ("onnxruntime", "numpy", "distill-audio")}}
    text = "\n".join(f"{key}={value}" for key, value in facts.items())
    return {**facts, "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:12]}


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def kept_path(model_id: str) -> Path:
    """Where the choice for a model on this machine is kept."""
    return cache_folder() / "tuning" / f"{model_id}-{machine()['fingerprint']}.json"


def keep(model_id: str, choice: Choice, real_time_factor: float) -> Path:
    """Write the choice, whole or not at all. Raises FileError."""
    import tempfile

    path = kept_path(model_id)
    kept = Kept(model_id=model_id, machine=str(machine()["fingerprint"]), choice=choice,
                real_time_factor=real_time_factor)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}); set DISTILL_CACHE to another folder") from None
    return path


def recall(model_id: str) -> Choice | None:
    """The kept choice for a model on this machine; None where there is none. A broken file is named on stderr."""
    if not any((cache_folder() / "tuning").glob(f"{model_id}-*.json")):
        return None  # as mostly; to look at the machine takes longer than to see that
    path = kept_path(model_id)
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        print(f"distill: {path}: cannot be used ({' '.join(str(error).split())}); run: distill bench", file=sys.stderr)
        return None
    return kept.choice if kept.model_id == model_id else None


def load_tuned(model: str | os.PathLike[str] | None, *, device: Device = "auto", variant: Variant | None = None,
               threads: int | None = None) -> tuple[Model, bool]:
    """`distill.load` with what `distill bench` found best here, where the caller leaves it open.

    It measures the CPU, so nothing of it is used where CUDA is asked for, or is what "auto" means.

    Returns the model, and whether a kept choice decided about anything. Raises what `load` raises.
    """
    from .engine import has_cuda
    from .model import Model

    bundle = open_bundle(model)
    on_cpu = device == "cpu" or (device == "auto" and not has_cuda())
    kept = recall(bundle.sidecar.model.id) if on_cpu and (variant is None or threads is None) else None
    if kept is not None and (kept.variant not in bundle.sidecar.variants or _alone(bundle)):
        kept = None  # the choice was made for a copy of this model with more files
    open_choice = Choice() if kept is None else kept
    if variant is None and open_choice.variant != "fp32":
        print(f"distill: using {open_choice.variant}, as chosen with distill bench; --variant fp32 is the full sound",
              file=sys.stderr)
    loaded = Model(bundle, device=device, variant=variant or open_choice.variant,
                   threads=threads if threads is not None else open_choice.threads)
    return loaded, kept is not None


def _alone(bundle: Bundle) -> bool:
    return not bundle.sidecar.files


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
