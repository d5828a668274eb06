"""Waveform and spectrogram of sounds, beside one another, as a PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import soundfile

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from distill import SpectrogramSpec  # noqa: E402
from distill.dsp import stft  # noqa: E402


def compare(original: Path, made: Path, png: Path, seconds: float = 10.0) -> None:
    """Draw `original` on the left and `made` on the right: waveform above, spectrogram (log frequency) below."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 6), height_ratios=(1, 3), layout="constrained", sharex="col")
    for column, (path, title) in enumerate(((original, f"a recording: {original.name}"), (made, f"made: {made.name}"))):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        draw(axes[0, column], axes[1, column], audio.mean(axis=1)[:round(seconds * rate)], rate)
        axes[0, column].set_title(title, fontsize=10)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=100, metadata={"Software": None})
    plt.close(figure)


def draw(wave: plt.Axes, image: plt.Axes, audio: np.ndarray, rate: int) -> None:
    """One sound on two axes."""
    spec = SpectrogramSpec(sample_rate=rate)
    level = 20 * np.log10(np.maximum(np.abs(stft(audio, spec)), 1e-7))
    seconds = len(audio) / rate
    wave.plot(np.arange(len(audio)) / rate, audio, linewidth=0.4, color="#204060")
    wave.set_ylim(-1, 1)
    wave.set_ylabel("amplitude")
    wave.grid(alpha=0.2)
    times = np.linspace(0, seconds, level.shape[1])
    frequencies = np.arange(level.shape[0]) * rate / spec.n_fft
    mesh = image.pcolormesh(times, frequencies[1:], level[1:], vmin=-110, vmax=-10, cmap="magma", shading="nearest",
                            rasterized=True)
    image.set_yscale("log")
    image.set_ylim(60, rate / 2)
    image.set_ylabel("Hz")
    image.set_xlabel("seconds")
    image.figure.colorbar(mesh, ax=image, label="dBFS", pad=0.01)
