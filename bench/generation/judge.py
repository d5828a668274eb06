"""Does what a model makes sound like its corpus, and does it only repeat it?

Generated sound is compared with the recordings the model was trained on, and one half of the recordings with the other
half, which is as near as two samples of one corpus come.

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

import numpy as np

from .ear import BANDS, FRAMES, POOL, Ear, Floats, Sound, joined

AXES, NEIGHBOURS = 32, 3
MOMENT = 6  # patches, half a second: nearer ones in one recording are the same sound
FLOOR_DB = 60.0
HALVES = 8  # ways of splitting the corpus


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
        result: Floats = (sound.patches - self._mean) @ self._axes
        return result

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
    result: Floats = np.sqrt(np.maximum(squared, 0))
    return result


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
