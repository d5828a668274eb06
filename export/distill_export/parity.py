"""The parity proof: the trained network in PyTorch against the bundle in the runtime, in units of sound.

Two comparisons of samples, because phase is put together from decisions (which peak leads, where an onset is): a
difference in the last bit can turn one of them over, and the sound then differs as two takes of the same note do.
With the decisions of one side used for both, the samples must agree; with each side on its own, the magnitudes must.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from distill import dsp
from distill.engine import Engine
from distill.errors import NumericError
from distill.golden import rms_db
from distill.model import Model
from distill.sidecar import Parity
from distill.spec import SpectrogramSpec
from distill_train.network import Decoder

Array = NDArray[np.float32]

MAX_ERROR = 1e-4  # normalised units
MIN_SNR_DB = 60.0
MAX_LSD_DB = 0.1
MAX_LEVEL_DB = 0.1


@dataclass(frozen=True)
class Limits:
    """What a graph must reach. The defaults are for float32; variants with fewer bits state their own.

    Those are not held to an SNR: a small error of the instantaneous frequency adds up in the phase, so the samples
    drift apart, a little sooner or later, while each of the two sounds stays as good as the other. And their magnitudes
    are compared with the same decisions: of noise, levels that differ by 0.004 dB turn some of them over, and seven
    latent frames are then another take of it, 1.4 dB apart.
    """

    max_error: float = MAX_ERROR
    snr_db: float | None = MIN_SNR_DB  # None: not judged
    lsd_db: float = MAX_LSD_DB
    level_db: float = MAX_LEVEL_DB
    own_decisions: bool = True  # whether LSD and level are of sounds that decide each for itself


def lengths(chunk: int, available: int) -> list[int]:
    """Latent frames to prove at: one, a few, just over a chunk, several chunks."""
    wanted = (1, 7, chunk + 3, 3 * chunk + 5)
    return [max(1, min(n, available)) if i < 2 else n for i, n in enumerate(wanted)]


def prove(decoder: Decoder, model: Model, latents: Array, limits: Limits = Limits(),  # noqa: B008
          what: str = "parity") -> Parity:
    """Compare at four lengths; raises NumericError that names the figure that failed.

    latents: [latent_dim, any], real ones, repeated where a length needs more.
    """
    worst = {"max_error": 0.0, "snr_db": np.inf, "lsd_db": 0.0, "level_db": 0.0}
    std = np.array(model.sidecar.normalization.std, np.float32).reshape(2, 1, 1)
    mean = np.array(model.sidecar.normalization.mean, np.float32).reshape(2, 1, 1)
    for count in lengths(model.sidecar.chunking.recommended_chunk, latents.shape[1]):
        part = np.resize(latents.T, (count, latents.shape[0])).T.astype(np.float32)
        with torch.inference_mode():
            trained = decoder(torch.from_numpy(part.copy())[None])[0].numpy() * std + mean
        played = model.decode(part)
        if played.shape != trained.shape:
            raise NumericError(f"parity failed: {count} latent frames became {played.shape[2]} frames in the runtime, "
                               f"{trained.shape[2]} in training")
        figures = {"max_error": float(np.abs((played - trained) / std).max()),
                   **_sound(trained, played, model, limits.own_decisions)}
        for key, value in figures.items():
            worst[key] = min(worst[key], value) if key == "snr_db" else max(worst[key], value)
    _judge(worst, limits, what)
    return Parity(**{key: float(f"{value:.4g}") for key, value in worst.items()})


def prove_batches(decoder: Decoder, engine: Engine, latents: Array) -> None:
    """The bare session at two batch sizes and four lengths: shapes and values. Raises NumericError."""
    for batch in (1, 3):
        for count in (1, 5, 64, 257):
            part = np.resize(latents.T, (batch, count, latents.shape[0])).transpose(0, 2, 1).astype(np.float32)
            with torch.inference_mode():
                trained = decoder(torch.from_numpy(part.copy())).numpy()
            played = engine.run(part)
            if played.shape != trained.shape:
                raise NumericError(f"parity failed: shape {played.shape} in the graph, {trained.shape} in training, "
                                   f"at batch {batch} and {count} latent frames")
            error = float(np.abs(played - trained).max())
            if error > MAX_ERROR:
                raise NumericError(f"parity failed: max error {error:.1e} (allowed {MAX_ERROR:.0e}) at batch {batch} "
                                   f"and {count} latent frames")


def _sound(trained: Array, played: Array, model: Model, own_decisions: bool) -> dict[str, float]:
    ours = dsp.synthesize(played, model.spec, "balanced")
    locked = dsp.synthesize(trained, model.spec, "balanced", decisions_from=played)
    free = dsp.synthesize(trained, model.spec, "balanced") if own_decisions else locked
    return {"snr_db": snr_db(locked, ours), "lsd_db": lsd_db(free, ours, model.spec),
            "level_db": abs(rms_db(free) - rms_db(ours))}


def snr_db(reference: Array, other: Array) -> float:
    """Energy of the reference over that of the difference; at most 200."""
    noise = float(np.sum(np.square(reference.astype(np.float64) - other)))
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    if noise <= signal * 1e-20:
        return 200.0
    return float(10 * np.log10(max(signal, 1e-30) / noise))


def lsd_db(reference: Array, other: Array, spec: SpectrogramSpec) -> float:
    """Log-spectral distance, dB: bins below 80 dB under the reference's loudest bin count as equal to that floor."""
    a, b = np.abs(dsp.stft(reference, spec)), np.abs(dsp.stft(other, spec))
    if a.size == 0 or a.max() == 0:
        return 0.0
    floor = a.max() * 1e-4
    difference = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return float(np.mean(np.sqrt(np.mean(np.square(difference), axis=0))))


def _judge(worst: dict[str, float], limits: Limits, what: str) -> None:
    checks = (("max_error", worst["max_error"] <= limits.max_error, "max error {:.1e}, allowed {:.0e}"),
              ("snr_db", limits.snr_db is None or worst["snr_db"] >= limits.snr_db,
               "SNR {:.1f} dB with the same phase decisions, needs {:g}"),
              ("lsd_db", worst["lsd_db"] <= limits.lsd_db, "LSD {:.3f} dB, allowed {:g}"),
              ("level_db", worst["level_db"] <= limits.level_db, "level off by {:.3f} dB, allowed {:g}"))
    failed = [text.format(worst[key], getattr(limits, key)) for key, ok, text in checks if not ok]
    if failed:
        raise NumericError(f"{what} failed, no bundle was written: " + "; ".join(failed))
