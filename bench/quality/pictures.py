"""Spectrograms of an original and of what came back, side by side on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from .metrics import magnitudes  # noqa: E402
from .recordings import SAMPLE_RATE  # noqa: E402

Floats = NDArray[np.float32]

_N_FFT, _HOP = 2048, 512
_RANGE_DB = 80.0


def draw(sounds: Sequence[tuple[str, Floats]], png: Path) -> None:
    """One panel for each (title, sound); the first is the original, whose loudest bin is 0 dB for all."""
    figure, axes = plt.subplots(1, len(sounds), figsize=(4 * len(sounds), 3.2), sharey=True, layout="constrained")
    places = np.atleast_1d(axes)
    loudest = max(float(magnitudes(sounds[0][1], _N_FFT, _HOP).max()), 1e-9)
    for place, (title, sound) in zip(places, sounds, strict=True):
        level = 20 * np.log10(np.maximum(magnitudes(sound, _N_FFT, _HOP).T / loudest, 1e-7))
        times = np.arange(level.shape[1]) * _HOP / SAMPLE_RATE
        frequencies = np.arange(level.shape[0]) * SAMPLE_RATE / _N_FFT
        mesh = place.pcolormesh(times, frequencies[1:], level[1:], vmin=-_RANGE_DB, vmax=0, cmap="magma",
                                shading="nearest", rasterized=True)
        place.set(yscale="log", ylim=(60, SAMPLE_RATE / 2), xlabel="seconds")
        place.set_title(title, fontsize=9)
    places[0].set_ylabel("Hz")
    figure.colorbar(mesh, ax=places, label="dB under the original's peak", pad=0.01)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=80, metadata={"Software": None})
    plt.close(figure)
