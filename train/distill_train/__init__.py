"""Training: a folder of recordings in, a run folder with a checkpoint out. Imports `distill`, never `distill_export`.

The names below are loaded on first use, so that `import distill_train` does not pay for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Checkpoint": "checkpoint",
    "CorpusFile": "manifest",
    "Decoder": "network",
    "Encoder": "network",
    "NetworkConfig": "config",
    "Recipe": "config",
    "Statistics": "statistics",
    "decoder_mmac_per_second": "config",
    "load_checkpoint": "checkpoint",
    "original_spectrograms": "spectrograms",
    "receptive_field": "config",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distill_train' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
