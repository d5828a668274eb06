"""What is installed on this machine, and whether it makes sound: one finding after the other, advice where needed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from .cuda import ADVICE
from .errors import DeviceError, DistillError, FileError, InvalidValue

_BASE = ("numpy", "onnxruntime", "soundfile", "soxr", "typer", "msgspec")
_OPTIONAL = ("cupy-cuda13x", "cupy-cuda12x", "sounddevice", "starlette", "uvicorn", "torch", "torchaudio", "onnx",
             "onnxscript")
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-silicon")
_ENOUGH_MEMORY = 500e6  # bytes
_ENOUGH_DISK = 200e6  # bytes


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. code: 0, or the exit code that its failure means."""

    name: str
    found: str
    advice: str | None = None
    code: int = 0


def examine(model: str | None = None) -> list[Finding]:
    """Everything, in an order where a cause comes before its consequences."""
    return [*_versions(), *_runtimes(), *_providers(), *_folders(), *_room(), *_self_test(model),
            *_gpu(model)]


def _versions() -> Iterator[Finding]:
    yield Finding("distill", f"{_version('distill-audio') or 'not installed, run from its sources'}, Python "
                             f"{platform.python_version()} at {sys.executable}")
    yield Finding("machine", f"{platform.system()} {platform.release()}, {platform.machine()}")
    missing = [p for p in _BASE if _version(p) is None and not (p == "onnxruntime" and _installed(_RUNTIMES))]
    text = ", ".join(f"{p} {_version(p)}" for p in _BASE if p not in missing and _version(p))
    if missing:
        yield Finding("packages", f"{text}; absent: {', '.join(missing)}", f"pip install {' '.join(missing)}",
                      InvalidValue.exit_code)
    else:
        yield Finding("packages", text)
    yield Finding("extras", ", ".join(f"{p} {_version(p)}" for p in _OPTIONAL if _version(p)) or "none")


def _runtimes() -> Iterator[Finding]:
    """Wheels that unpack into the same `onnxruntime` folder overwrite each other's files."""
    present = _installed(_RUNTIMES)
    if len(present) > 1:
        yield Finding("onnxruntime", f"{' and '.join(present)} are installed at once, and overwrite each other",
                      f"pip uninstall -y {' '.join(present)} && pip install onnxruntime (or onnxruntime-gpu for CUDA)",
                      DeviceError.exit_code)


def _providers() -> Iterator[Finding]:
    try:
        import onnxruntime
    except Exception as error:  # a broken wheel can raise anything
        yield Finding("providers", f"onnxruntime cannot be imported ({_line(error)})",
                      "pip install --force-reinstall onnxruntime", DeviceError.exit_code)
        return
    providers = onnxruntime.get_available_providers()
    text = f"onnxruntime {onnxruntime.__version__}: {', '.join(providers)}"
    if "CPUExecutionProvider" not in providers:
        yield Finding("providers", text, "pip install --force-reinstall onnxruntime", DeviceError.exit_code)
    elif shutil.which("nvidia-smi") and "CUDAExecutionProvider" not in providers:
        yield Finding("providers", text, f"there is an NVIDIA card, and the CPU is many times faster than real time; "
                                         f"to use the card {ADVICE}")
    else:
        yield Finding("providers", text)


def _folders() -> Iterator[Finding]:
    from .bundle import models_folder
    from .tuning import cache_folder

    folders = {"models": (models_folder(), "DISTILL_MODELS"), "cache": (cache_folder(), "DISTILL_CACHE")}
    presets = _presets_folder()
    if presets is not None:
        folders["presets"] = (presets, "DISTILL_PRESETS")
    for name, (folder, variable) in folders.items():
        problem = _unwritable(folder)
        if problem:
            yield Finding(f"{name} folder", f"{folder}: {problem}", f"set {variable} to a folder that can be written",
                          FileError.exit_code)
        else:
            yield Finding(f"{name} folder", f"{folder} ({'there' if folder.is_dir() else 'will be made when needed'})")


def _presets_folder() -> Path | None:
    try:
        from . import presets
    except ImportError:
        return None
    folder: Callable[[], Path] | None = getattr(presets, "presets_folder", None)
    return folder() if folder is not None else None


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written to `folder`, tried out on it or on the nearest folder above that exists."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"distill")
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None


def _room() -> Iterator[Finding]:
    memory = free_memory()
    if memory is not None:
        low = memory < _ENOUGH_MEMORY
        yield Finding("memory", f"{memory / 1e9:.1f} GB free", "close other programs; making sound takes about 200 MB "
                      "besides what quality high needs for the length of its file" if low else None)
    place = Path.cwd()
    try:
        disk = shutil.disk_usage(place).free
    except OSError as error:
        yield Finding("disk", f"{place}: {error.strerror}", "go to a folder that exists", FileError.exit_code)
        return
    yield Finding("disk", f"{disk / 1e9:.1f} GB free in {place}",
                  "a minute of sound takes 9 MB; make room first" if disk < _ENOUGH_DISK else None)


def free_memory() -> int | None:
    """Bytes of memory that programs can still get; None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _self_test(model: str | None) -> Iterator[Finding]:
    """Every variant against its golden sound; one second as a stream and at once; both in well under ten seconds."""
    import numpy as np

    started = time.perf_counter()
    try:
        from .golden import replay
        from .model import load

        loaded = load(model, device="cpu")
        results = [replay(loaded if v == "fp32" else load(model, device="cpu", variant=v))
                   for v in loaded.sidecar.variants]
        text = ", ".join(f"{r['variant']} within {r['max_error']:.1e} of {r['max_error_allowed']:.1g}" for r in results)
        yield Finding("model", f"{loaded.name}: every file as exported; {text}")
        whole = loaded.generate(1.0, seed=1)
        before = time.perf_counter()
        blocks = list(loaded.stream(1.0, seed=1))
        spent = time.perf_counter() - before
        if not np.array_equal(np.concatenate(blocks), whole):
            yield Finding("stream", "a stream is not the same as the sound made at once",
                          "please report it, with all of this", 1)
            return
        yield Finding("stream", f"one second in blocks of 512 equals one second at once, {1 / spent:.0f} times real "
                                f"time; the self-test took {time.perf_counter() - started:.1f} s")
        if spent > 1:
            yield Finding("speed", "slower than real time", "try quality fast, and distill bench --allow-int8")
    except DistillError as error:
        advice = "the model's files are damaged or are not there: export or copy it again"
        yield Finding("model", str(error), advice if error.exit_code in (3, 4) else None, error.exit_code)
    except Exception as error:
        yield Finding("model", f"internal error: {type(error).__name__}: {_line(error)}",
                      "please report it, with all of this", 1)


def _gpu(model: str | None) -> Iterator[Finding]:
    """The golden latents on the GPU, where onnxruntime was built for one."""
    try:
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return
        from .golden import replay
        from .model import load

        try:
            loaded = load(model, device="cuda")
        except DeviceError as error:
            yield Finding("GPU", str(error), "until then --device auto runs on the CPU")
            return
        result = replay(loaded)
        yield Finding("GPU", f"{result['provider']}: fp32 within {result['max_error']:.1e} of "
                             f"{result['max_error_allowed']:.1g}; --device auto and cuda use it")
    except DistillError as error:
        yield Finding("GPU", str(error), "use --device cpu", error.exit_code)
    except Exception as error:
        yield Finding("GPU", f"internal error: {type(error).__name__}: {_line(error)}",
                      "please report it, with all of this", 1)


def _installed(packages: tuple[str, ...]) -> list[str]:
    """Those of `packages` whose metadata is here, whichever of them owns the files."""
    here = {str(d.metadata["Name"]).lower().replace("_", "-") for d in distributions() if d.metadata["Name"]}
    return [package for package in packages if package in here]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
