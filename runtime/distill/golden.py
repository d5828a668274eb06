"""The golden latents: a bundle replays on this machine what the exporting machine got."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError
from .model import Model
from .sidecar import DECODERS

Array = NDArray[np.float32]


def replay(model: Model) -> dict[str, Any]:
    """Verify every file of the bundle, decode its golden latents and compare.

    The tolerances are the sidecar's; a variant with fewer bits may besides be twice as far off as its own proof says.
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
    samples = model.synthesize(arrays["latents"])  # where the model is: on a GPU the GPU's own
    level = abs(rms_db(samples) - rms_db(arrays["samples"]))
    allowed, level_allowed = sidecar.golden.max_error, sidecar.golden.level_db
    proof = sidecar.file(DECODERS[model.variant])
    if model.variant != "fp32" and proof is not None and proof.parity is not None:
        allowed, level_allowed = allowed + 2 * proof.parity.max_error, level_allowed + 2 * proof.parity.level_db
    result = {"variant": model.variant, "max_error": max_error, "max_error_allowed": allowed, "level_db": level,
              "level_db_allowed": level_allowed, "provider": model.provider}
    if max_error > allowed or level > level_allowed:
        raise BundleError(f"{bundle.path}: {model.variant} does not sound as exported: spectrogram off by "
                          f"{max_error:.1e} (allowed {allowed:.1g}), level by {level:.2f} dB "
                          f"(allowed {level_allowed:.2g})")
    return result


def rms_db(samples: Array) -> float:
    """RMS level in dBFS; -200 for silence."""
    if len(samples) == 0:
        return -200.0
    return float(10 * np.log10(max(float(np.mean(np.square(samples, dtype=np.float64))), 1e-20)))
