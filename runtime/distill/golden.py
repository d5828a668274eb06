"""The golden latents: a bundle replays on this machine what the exporting machine got."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .errors import BundleError
from .model import Model

Array = NDArray[np.float32]


def replay(model: Model) -> dict[str, Any]:
    """Verify every file of the bundle, decode its golden latents and compare.

    Returns the figures. Raises BundleError where a file is damaged or a figure is beyond its tolerance.
    """
    bundle, sidecar = model._bundle, model.sidecar
    for entry in sidecar.files:
        bundle.read(entry.role)
    arrays = bundle.arrays("golden")
    missing = {"latents", "spectrogram", "samples"} - set(arrays)
    if missing:
        raise BundleError(f"{bundle.path}: golden lacks {', '.join(sorted(missing))}")
    spectrogram = model.decode(arrays["latents"])
    std = np.array(sidecar.normalization.std, np.float32).reshape(2, 1, 1)
    if spectrogram.shape != arrays["spectrogram"].shape:
        raise BundleError(f"{bundle.path}: golden spectrogram has shape {arrays['spectrogram'].shape}, "
                          f"this machine makes {spectrogram.shape}")
    max_error = float(np.abs((spectrogram - arrays["spectrogram"]) / std).max())
    samples = dsp.synthesize(spectrogram, model.spec, "balanced")
    level = abs(rms_db(samples) - rms_db(arrays["samples"]))
    golden = sidecar.golden
    result = {"max_error": max_error, "max_error_allowed": golden.max_error, "level_db": level,
              "level_db_allowed": golden.level_db, "provider": model.provider}
    if max_error > golden.max_error or level > golden.level_db:
        raise BundleError(f"{bundle.path}: does not sound as exported: spectrogram off by {max_error:.1e} "
                          f"(allowed {golden.max_error:.0e}), level by {level:.2f} dB (allowed {golden.level_db:g})")
    return result


def rms_db(samples: Array) -> float:
    """RMS level in dBFS; -200 for silence."""
    if len(samples) == 0:
        return -200.0
    return float(10 * np.log10(max(float(np.mean(np.square(samples, dtype=np.float64))), 1e-20)))
