"""Does what a model makes sound like its corpus, and does it only repeat it?

    python -m bench.generation BUNDLE CORPUS [--minutes 2] [--sweep]        or        make bench-generation

Compares generated sound with the recordings the model was trained on, and one half of the recordings with the other
half, which is as near as two samples of one corpus come. Prints a table in Markdown. numpy, soundfile and soxr only.

Everything is measured on a log-mel spectrogram: 64 bands, frames of 43 ms every 21 ms, floor 60 dB under the corpus's
loudest band. A patch is 8 frames (0.17 s), averaged in pairs, and for distances projected on the corpus's 32 main axes.

    Frechet    distance of two Gaussians fitted to the patches (Dowson and Landau, 1982): the squared distance of the
               means, and tr(S1 + S2 - 2 (S1 S2)^1/2); in dB^2, divided by the patch's size
    precision  share of patches that lie as near to some patch of the corpus as its 3rd neighbour does, those within
               half a second of it left out (Kynkaanniemi 2019)
    flux       mean rise of the log-mel from frame to frame, over the corpus's
    level      RMS level over the corpus's, dB
    nearest    median distance from a patch to the nearest one of the corpus, over that of one half of the corpus to the
               other: 1 is as new as another recording, 0 a copy
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import distill

Floats = NDArray[np.float32]

BANDS, FRAMES, POOL, AXES, NEIGHBOURS = 64, 8, 2, 32, 3
MOMENT = 6  # patches, half a second: nearer ones in one recording are the same sound
FLOOR_DB = 60.0
HALVES = 8  # ways of splitting the corpus
CLIP_SECONDS = 20.0
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"}


@dataclass(frozen=True)
class Sound:
    """Patches [patches, size] of log-mel, dB over the floor; mean flux in dB; mean power."""

    patches: Floats
    flux: float
    power: float


class Ear:
    """The log-mel spectrogram of one rate, over one floor."""

    def __init__(self, sample_rate: int) -> None:
        self.n_fft = 1 << round(np.log2(0.043 * sample_rate))
        self.hop = self.n_fft // 2
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32) * 4 / self.n_fft
        top = min(16_000.0, sample_rate / 2)
        edges = 700 * (10 ** (np.linspace(mel(40.0), mel(top), BANDS + 2) / 2595) - 1)
        bins = np.fft.rfftfreq(self.n_fft, 1 / sample_rate)
        low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        bank = np.maximum(0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
        nearest = np.abs(bins[None] - mid).argmin(axis=1)  # a band narrower than a bin has that bin
        bank[np.arange(BANDS), nearest] = np.maximum(bank[np.arange(BANDS), nearest], 1e-3)
        self._bank = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
        self.floor_db = -np.inf

    def levels(self, audio: Floats) -> Floats:
        """[samples] -> [frames, bands], dB."""
        if len(audio) < self.n_fft:
            audio = np.pad(audio, (0, self.n_fft - len(audio)))
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.n_fft)[::self.hop]
        rows = [np.square(np.abs(np.fft.rfft(frames[i:i + 256] * self._window, axis=1))) @ self._bank.T
                for i in range(0, len(frames), 256)]
        return (10 * np.log10(np.maximum(np.concatenate(rows), 1e-14))).astype(np.float32)

    def hear(self, audio: Floats) -> Sound:
        """What is heard, silence before it included: a recording that begins with its attack has that attack."""
        levels = np.maximum(self.levels(np.pad(audio, (self.n_fft, 0))) - np.float32(self.floor_db), 0)
        flux = np.maximum(np.diff(levels, axis=0), 0).mean() if len(levels) > 1 else 0.0
        padded = np.pad(levels, ((0, max(0, FRAMES - len(levels))), (0, 0)))
        view = np.lib.stride_tricks.sliding_window_view(padded, FRAMES, axis=0)[::FRAMES // 2]  # [n, bands, frames]
        pooled = view.reshape(len(view), BANDS, FRAMES // POOL, POOL).mean(axis=3)
        return Sound(pooled.reshape(len(view), -1), float(flux), float(np.mean(np.square(audio, dtype=np.float64))))


def mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def joined(sounds: list[Sound], seconds: list[float]) -> Sound:
    weights = np.array(seconds) / sum(seconds)
    return Sound(np.concatenate([s.patches for s in sounds]), float(np.dot(weights, [s.flux for s in sounds])),
                 float(np.dot(weights, [s.power for s in sounds])))


class Judge:
    """Everything that is measured against one corpus."""

    def __init__(self, recordings: list[Floats], sample_rate: int) -> None:
        self.rate, self.ear = sample_rate, Ear(sample_rate)
        self.ear.floor_db = max(float(self.ear.levels(r).max()) for r in recordings) - FLOOR_DB
        if len(recordings) == 1:  # the halves of one recording are its halves in time
            recordings = np.array_split(recordings[0], 8)
        self.seconds = [len(r) / sample_rate for r in recordings]
        self.parts = [self.ear.hear(r) for r in recordings]
        self.corpus = joined(self.parts, self.seconds)
        self._mean = self.corpus.patches.mean(axis=0)
        _, _, axes = np.linalg.svd(self.corpus.patches - self._mean, full_matrices=False)
        self._axes = axes[:AXES].T
        self.points = self.project(self.corpus)
        self.radius = self._radius(self.parts, self.points)
        self.baseline = self._halves()

    def project(self, sound: Sound) -> Floats:
        return (sound.patches - self._mean) @ self._axes

    @staticmethod
    def _radius(parts: list[Sound], points: Floats) -> Floats:
        """[patches]: distance from each to its 3rd neighbour, those of the same moment left out."""
        between = distances(points, points)
        start = 0
        for part in parts:
            index = np.arange(len(part.patches))
            near = np.abs(index[:, None] - index) < MOMENT
            between[start:start + len(index), start:start + len(index)][near] = np.inf
            start += len(index)
        radius: Floats = np.sort(between, axis=1)[:, NEIGHBOURS - 1]
        return radius

    def _halves(self) -> dict[str, float]:
        rows = []
        for number in range(HALVES):
            order = np.random.default_rng(number).permutation(len(self.parts))
            sides = [joined([self.parts[i] for i in side], [self.seconds[i] for i in side])
                     for side in np.array_split(order, 2)]
            a, b = (self.project(side) for side in sides)
            between = distances(a, b)
            radius = self._radius([self.parts[i] for i in np.array_split(order, 2)[1]], b)
            rows.append((frechet(a, b), float((between <= radius).any(axis=1).mean()), sides[0].flux / sides[1].flux,
                         10 * np.log10(sides[0].power / sides[1].power), float(np.median(between.min(axis=1)))))
        columns = np.array(rows)
        return {"frechet": columns[:, 0].mean(), "precision": columns[:, 1].mean(),
                "flux": float(np.exp(np.abs(np.log(columns[:, 2])).mean())), "level": np.abs(columns[:, 3]).mean(),
                "nearest": columns[:, 4].mean()}

    def judge(self, sounds: list[Floats]) -> dict[str, float]:
        """Figures of sounds at the judge's rate, beside the corpus."""
        made = joined([self.ear.hear(s) for s in sounds], [len(s) / self.rate for s in sounds])
        points = self.project(made)
        between = distances(points, self.points)
        return {"frechet": frechet(points, self.points),
                "precision": float((between <= self.radius).any(axis=1).mean()),
                "flux": made.flux / max(self.corpus.flux, 1e-9),
                "level": float(10 * np.log10(max(made.power, 1e-20) / self.corpus.power)),
                "nearest": float(np.median(between.min(axis=1))) / self.baseline["nearest"]}


def distances(a: Floats, b: Floats) -> Floats:
    """[n, dim], [m, dim] -> [n, m], Euclidean."""
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def frechet(a: Floats, b: Floats) -> float:
    """Squared Frechet distance of the Gaussians fitted to [n, dim] and [m, dim], per value of a patch.

    tr (S1 S2)^1/2 is the sum of the roots of the eigenvalues of S1^1/2 S2 S1^1/2, which is symmetric.
    """
    means, covariances = zip(*((x.mean(axis=0, dtype=np.float64), np.cov(x.T.astype(np.float64))) for x in (a, b)),
                             strict=True)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    distance = np.square(means[0] - means[1]).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * shared
    return float(distance) / (BANDS * FRAMES / POOL)


def recordings_of(folder: Path, sample_rate: int) -> list[Floats]:
    """The sound files under a folder at one rate, one channel, without the silence at their ends."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        if rate != sample_rate:
            mono = soxr.resample(mono, rate, sample_rate, quality="VHQ")
        step = sample_rate // 50
        power = np.add.reduceat(np.square(mono, dtype=np.float64), np.arange(0, len(mono), step))
        loud = np.flatnonzero(power > power.max() * 1e-7)
        if len(loud):
            found.append(mono[loud[0] * step:(loud[-1] + 1) * step])
    if not found:
        sys.exit(f"{folder}: no recordings")
    return found


def settings(sweep: bool) -> Iterator[dict[str, Any]]:
    """Knobs to compare."""
    yield {}
    if sweep:
        yield from ({"wander": w} for w in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0))
        yield from ({"jumps": j} for j in (0.0, 0.1, 1.0, 3.0))
        yield {"wander": 0.0, "jumps": 0.0}
    yield {"density": 2.0}
    yield {"mode": "crossfade"}
    yield {"mode": "interpolate"}
    yield from ({"mode": "vector", "evolution": e} for e in ((0.0, 0.3, 1.0) if sweep else (0.3,)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--minutes", type=float, default=2.0, help="of sound for each line")
    parser.add_argument("--sweep", action="store_true", help="more settings of wander and jumps")
    options = parser.parse_args()
    model = distill.load(options.bundle, device="cpu")
    recordings = recordings_of(options.corpus, model.sample_rate)
    judge = Judge(recordings, model.sample_rate)
    print(f"{model.name}: {len(recordings)} recordings, {sum(map(len, recordings)) / model.sample_rate:.0f} s; "
          f"{options.minutes:g} minutes a line\n")
    print("| | Frechet | over half/half | precision | flux | level, dB | nearest |\n|---|---|---|---|---|---|---|")
    base = judge.baseline
    print_row("one half of the corpus beside the other", {**base, "nearest": 1.0}, base)
    decoded = [model.synthesize(model.encode(r, model.sample_rate), length=len(r)) for r in recordings]
    print_row("the corpus, encoded and decoded", judge.judge(decoded), base)
    clips = max(1, round(options.minutes * 60 / CLIP_SECONDS))
    for knobs in settings(options.sweep):
        made = [model.generate(CLIP_SECONDS, seed=seed, loudness="model", **knobs) for seed in range(clips)]
        print_row(", ".join(f"{k} {v}" for k, v in knobs.items()) or "defaults", judge.judge(made), base)


def print_row(name: str, row: dict[str, float], base: dict[str, float]) -> None:
    print(f"| {name} | {row['frechet']:.2f} | {row['frechet'] / base['frechet']:.2f} | {row['precision']:.2f} | "
          f"{row['flux']:.2f} | {row['level']:+.1f} | {row['nearest']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
