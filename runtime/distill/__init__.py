"""distill: small generative-audio models, run anywhere without PyTorch.

    >>> import distill
    >>> model = distill.load()
    >>> audio = model.generate(seconds=1, seed=1)
    >>> audio.shape
    (48000,)

Names are imported when they are first used, so that a command that needs no model does not wait for onnxruntime.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Since 1.29 onnxruntime sends Microsoft what is run with it, unless this stands there before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .blending import Blend, ModelSlot, blend
    from .dsp import Synthesizer, analyze, overlap_add, synthesize
    from .errors import (
        BundleError,
        DeviceError,
        DistillError,
        FileError,
        InvalidValue,
        MissingExtra,
        NotFound,
        NumericError,
    )
    from .knobs import Knobs
    from .live import Live
    from .model import Model, load
    from .spec import SpectrogramSpec

__version__ = "0.1.0"

__all__ = [
    "Blend",
    "BundleError",
    "DeviceError",
    "DistillError",
    "FileError",
    "InvalidValue",
    "Knobs",
    "Live",
    "MissingExtra",
    "Model",
    "ModelSlot",
    "NotFound",
    "NumericError",
    "SpectrogramSpec",
    "Synthesizer",
    "analyze",
    "blend",
    "load",
    "overlap_add",
    "synthesize",
]

_HOME = {"Blend": "blending", "ModelSlot": "blending", "blend": "blending", "Live": "live",
         "Synthesizer": "dsp", "analyze": "dsp", "overlap_add": "dsp", "synthesize": "dsp", "Knobs": "knobs",
         "Model": "model", "load": "model", "SpectrogramSpec": "spec"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
