"""What a live model makes while lines are sent, as sound, spectrogram and latents: for the tests of live control."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import distill
from distill.blending import Blend, ModelSlot
from distill.knobs import Knobs
from distill.live import Controls, Live
from distill.live.steering import Steering

STILL: dict[str, Any] = {"mode": "vector", "evolution": 0.0, "seed": 1}  # a sound that does not change by itself


def played(live: Live, blocks: int, at: dict[int, str], block: int = 512) -> np.ndarray:
    """So many blocks; `at`: lines that are sent after so many of them were taken."""
    stream, taken = live.stream(block=block), []
    for index in range(blocks):
        for line in filter(None, at.get(index, "").split("\n")):
            live.send(line)
        taken.append(next(stream))
    return np.concatenate(taken, axis=-1)


def spectrogram(controls: Controls, model: distill.Model, frames: int, at: dict[int, str]) -> np.ndarray:
    """Frames of the steered model; `at`: lines that are sent when so many pieces were taken."""
    pieces, taken = model.spectrograms(controls.now.knobs, frames, 0, Steering(controls)), []
    for index, piece in enumerate(pieces):
        taken.append(piece)
        if index + 1 in at:
            controls.send(at[index + 1])
    return np.concatenate(taken, axis=2)


def latents(model: distill.Model, knobs: Knobs, steps: int, at: dict[int, str], chunk: int = 1) -> np.ndarray:
    """Latents that are really decoded and played, [latent_dim, steps * chunk]; `at`: lines, by steps played before."""
    controls = Controls([model], knobs)
    stream = Steering(controls, chunk).spectrograms(model, [Echo(model)], knobs, None)  # type: ignore[list-item]
    played = []
    for index in range(steps):
        if index in at:
            controls.send(at[index])
        played.append(next(stream)[0][0])
    return np.concatenate(played, axis=1)[:, ::model.sidecar.latent.frames_per_latent]


class Echo:
    """A model whose spectrograms are its latents."""

    def __init__(self, model: distill.Model) -> None:
        self.sidecar = model.sidecar

    def decoded_part(self, latents: np.ndarray, start: int, stop: int) -> np.ndarray:
        return np.repeat(latents[None, :, start:stop], self.sidecar.latent.frames_per_latent, axis=2)


def blended(model: distill.Model, tiny_copy: Path, mode: Any) -> Blend:
    """Two models of one latent space, the second at other pitches and softer; all of the first."""
    path = tiny_copy / "decoder.onnx.json"
    facts = json.loads(path.read_text())
    facts["model"]["name"] = "other"
    facts["normalization"]["mean"][1] += 0.4
    facts["normalization"]["mean"][0] -= 20
    path.write_text(json.dumps(facts))
    return distill.blend([ModelSlot(model, 1), ModelSlot(distill.load(tiny_copy, device="cpu"), 0)], mode)
