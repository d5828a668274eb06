"""How much of a recording survives analysis and synthesis, with no network between, and what it costs.

    python bench/dsp_roundtrip.py corpus/demo/vibraphone more/drums --markdown roundtrip.md

Each folder is one category: up to --files recordings from it, spread over the sorted list, the first --seconds of
each at its own level, resampled to --sample-rate. Cost is CPU time of one synthesis, after a first run that fills
the caches; run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import metrics
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distill.dsp import analyze, synthesize
from distill.spec import SpectrogramSpec

Floats = NDArray[np.float32]

SUFFIXES = {".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"}
SHAPES = [(256, 2048, 512), (384, 2048, 512), (512, 2048, 512), (256, 1024, 256)]
QUALITIES = ["fast", "balanced", "high"]
COLUMNS = ["LSD dB", "SC", "logL1", "flux", "level dB", "peak", "ms/s"]


def load(folder: Path, files: int, seconds: float, sample_rate: int) -> list[Floats]:
    """A bounded sample of the recordings under `folder`, mono float32; silent ones are left out."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if len(paths) > files:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, files).round().astype(int)]
    sounds = []
    for path in paths:
        rate = soundfile.info(path).samplerate
        data, _ = soundfile.read(path, frames=int(seconds * rate), dtype="float32", always_2d=True)
        sound = soxr.resample(data.mean(axis=1), rate, sample_rate).astype(np.float32)
        if len(sound) > 4096 and np.abs(sound).max() > 1e-5:
            sounds.append(sound)
    return sounds


def measure(sound: Floats, spec: SpectrogramSpec, quality: str) -> list[float]:
    """One row of COLUMNS."""
    spectrogram = analyze(sound, spec)
    start = time.process_time()
    result = synthesize(spectrogram, spec, quality, length=len(sound))
    cost = time.process_time() - start
    return [
        metrics.lsd(sound, result),
        metrics.spectral_convergence(sound, result),
        metrics.log_magnitude_l1(sound, result),
        metrics.flux_correlation(sound, result),
        metrics.level_error_db(sound, result),
        metrics.peak_ratio(sound, result),
        1000 * cost / (len(sound) / spec.sample_rate),
    ]


def table(categories: dict[str, list[Floats]], sample_rate: int, qualities: list[str], shapes: list[str]) -> list[str]:
    """Markdown lines, one row per category, shape and quality."""
    lines = [
        "| category | n_mels | n_fft/hop | quality | " + " | ".join(COLUMNS) + " |",
        "|---|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for n_mels, n_fft, hop in SHAPES:
        if shapes and f"{n_mels}/{n_fft}" not in shapes:
            continue
        spec = SpectrogramSpec(sample_rate=sample_rate, n_mels=n_mels, n_fft=n_fft, hop_length=hop)
        for quality in qualities:
            every = []
            for name, sounds in categories.items():
                measure(sounds[0], spec, quality)
                values = np.array([measure(sound, spec, quality) for sound in sounds])
                every.append(np.nanmean(values, axis=0))
                lines.append(row(f"{name} ({len(sounds)})", spec, quality, every[-1]))
                print(lines[-1], flush=True)
            if len(categories) > 1:
                lines.append(row("**mean**", spec, quality, np.mean(every, axis=0)))
                print(lines[-1], flush=True)
    return lines


def row(name: str, spec: SpectrogramSpec, quality: str, values: NDArray[np.float64]) -> str:
    cells = [name, str(spec.n_mels), f"{spec.n_fft}/{spec.hop_length}", quality]
    cells += [f"{v:.{d}f}" for v, d in zip(values, [2, 3, 3, 3, 2, 2, 1], strict=True)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--files", type=int, default=6, help="recordings per folder")
    parser.add_argument("--seconds", type=float, default=2.5, help="of each recording")
    parser.add_argument("--sample-rate", type=int, default=48_000, help="Hz")
    parser.add_argument("--quality", action="append", choices=QUALITIES, help="default: all three")
    parser.add_argument("--shape", action="append", default=[], help="n_mels/n_fft, such as 384/2048; default: all")
    parser.add_argument("--markdown", type=Path, help="write the table here, too")
    options = parser.parse_args()
    categories = {f.name: load(f, options.files, options.seconds, options.sample_rate) for f in options.folders}
    categories = {name: sounds for name, sounds in categories.items() if sounds}
    if not categories:
        parser.error("no recordings found")
    lines = table(categories, options.sample_rate, options.quality or QUALITIES, options.shape)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
