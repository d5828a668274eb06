"""The seam certificate: what decoding in chunks costs against decoding in one piece."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill import dsp
from distill.model import Model
from distill.sidecar import Seam

Array = NDArray[np.float32]


def measure_seam(model: Model, latents: Array, chunks: int = 5) -> Seam:
    """Decode `chunks` chunks of the grid, and the same latents whole; compare, most of all at the borders.

    latents: [latent_dim, any], repeated where too short.
    """
    size = model.sidecar.chunking.recommended_chunk
    part = np.resize(latents.T, (chunks * size, latents.shape[0])).T.astype(np.float32)
    whole = model.decode(part, chunk=chunks * size)
    chunked = model.decode(part)
    std = np.array(model.sidecar.normalization.std, np.float32).reshape(2, 1, 1)
    a = dsp.synthesize(whole, model.spec, "balanced")
    b = dsp.synthesize(chunked, model.spec, "balanced", decisions_from=whole)
    step = size * model.sidecar.latent.frames_per_latent * model.spec.hop_length
    near = np.abs((np.arange(len(a)) + step // 2) % step - step // 2) < model.spec.n_fft
    near[:model.spec.n_fft] = False
    noise = float(np.sum(np.square(a.astype(np.float64) - b)[near]))
    signal = float(np.sum(np.square(a.astype(np.float64))[near]))
    border = 10 * np.log10(max(noise, 1e-30) / max(signal, 1e-30)) if signal else -200.0
    return Seam(max_error=float(f"{np.abs((whole - chunked) / std).max():.3g}"),
                border_db=round(float(np.clip(border, -200, 200)), 1))
