"""Which device trains, and in which precision."""

from __future__ import annotations

from collections.abc import Callable

import torch

from distill.errors import DeviceError, InvalidValue

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str, note: Callable[[str], None]) -> torch.device:
    """The device for `--device`. `auto` falls back to the CPU and says so; `cuda` never falls back.

    Raises DeviceError if there is no CUDA device.
    """
    if name not in DEVICES:
        raise InvalidValue(f"device is {name!r}; it must be one of {', '.join(DEVICES)}")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: convolutions would round levels to ten bits
        return torch.device("cuda")
    if name == "cuda":
        raise DeviceError("no CUDA device can be used here; use --device cpu, or install a torch build for your GPU")
    note(f"device: no CUDA device found, training on the CPU with {torch.get_num_threads()} threads")
    return torch.device("cpu")


def choose_precision(name: str) -> str:
    """`fp32` or `bf16` for `--precision`; `auto` is fp32.

    bf16 rounds levels to 0.3 dB, more than the principal components leave out, and saves little: docs/training.md.
    """
    if name not in PRECISIONS:
        raise InvalidValue(f"precision is {name!r}; it must be one of {', '.join(PRECISIONS)}")
    return "bf16" if name == "bf16" else "fp32"
