"""The corpus as latents: what the recordings became, file by file, and who is near whom."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import PurePosixPath as Path
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .bundle import Bundle
from .errors import BundleError, InvalidValue

Array = NDArray[np.float32]
Kept = TypeVar("Kept")

_SPREAD_PLACES = 400  # frames of the corpus whose neighbours are looked at
_SPREAD_NEIGHBOURS = 4
_CANDIDATES = 32_768  # frames of a large corpus, evenly spaced, that are searched for neighbours
_TYPICAL = 256  # frames, evenly spaced, that show how much each latent varies
_TELLING = 0.98  # of the variance: the latents that have it, the largest first, tell who is near whom
_VARIED = 0.999  # of the variance between neighbours that wander takes up
_SOUNDING_DB = 30.0  # under its recording's loudest frame: what is softer counts as silence


class Prior(Struct, frozen=True, eq=False, dict=True):
    """Encoded trajectories of the corpus.

    stored: float16 or float32 [latent_dim, total], the latents of all recordings one after the other.
    offsets: int64 [files + 1]; recording i is stored[:, offsets[i]:offsets[i + 1]].
    files: names of the recordings.
    spread: float32 [latent_dim, any], L with L L^T the covariance of the differences between near neighbours: the
        directions and sizes in which this corpus varies while staying itself. L @ white noise is a small step.
    level: float32 [total], dB, power summed over the bands, of the loudest spectrogram frame in each latent frame.
    """

    stored: NDArray[np.float16] | Array
    offsets: NDArray[np.int64]
    files: tuple[str, ...]
    spread: Array
    level: Array

    @classmethod
    def of(cls, bundle: Bundle) -> Prior | None:
        """The bundle's prior, or None where it has none. Raises BundleError where it is broken."""
        if bundle.sidecar.file("prior") is None:
            return None
        arrays = bundle.arrays("prior")
        where, dim = f"{bundle.path}: prior", bundle.sidecar.latent.dim
        keys = {"latents", "offsets", "files", "spread", "level"}
        if keys != set(arrays):
            raise BundleError(f"{where}: must hold {', '.join(sorted(keys))}; missing {sorted(keys - set(arrays))}, "
                              f"unknown {sorted(set(arrays) - keys)}")
        latents = arrays["latents"]
        offsets, names = np.asarray(arrays["offsets"]), arrays["files"]
        if latents.ndim != 2 or latents.shape[0] != dim or not _finite(latents):
            raise BundleError(f"{where}: `latents` has shape {latents.shape} or non-finite numbers; must be finite, "
                              f"[{dim}, total]")
        if (offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2 or offsets[0] != 0
                or offsets[-1] != latents.shape[1] or (np.diff(offsets.astype(np.int64)) < 1).any()):
            raise BundleError(f"{where}: `offsets` must rise from 0 to {latents.shape[1]}")
        if names.shape != (len(offsets) - 1,) or names.dtype.kind != "U":
            raise BundleError(f"{where}: `files` must be {len(offsets) - 1} names")
        spread = np.asarray(arrays["spread"], np.float32)
        if spread.ndim != 2 or len(spread) != dim or spread.shape[1] > dim or not np.isfinite(spread).all():
            raise BundleError(f"{where}: `spread` has shape {spread.shape} or non-finite numbers; must be finite, "
                              f"[{dim}, at most {dim}]")
        level = np.asarray(arrays["level"], np.float32)
        if level.shape != latents.shape[1:] or not np.isfinite(level).all():
            raise BundleError(f"{where}: `level` has shape {level.shape} or non-finite numbers; must be finite, "
                              f"[{latents.shape[1]}]")
        return cls(latents, offsets.astype(np.int64), tuple(str(n) for n in names), spread, level)

    @cached_property
    def _kept(self) -> dict[Hashable, Any]:
        return {}

    def once(self, what: Hashable, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, kept as `what`: what follows from the corpus alone need not be found for every sound."""
        if what not in self._kept:
            self._kept[what] = make()
        found: Kept = self._kept[what]
        return found

    @property
    def total(self) -> int:
        """Latent frames in all."""
        return int(self.stored.shape[1])

    @cached_property
    def latents(self) -> Array:
        """float32 [latent_dim, total]: all of them, in twice the memory; `at` has some."""
        return np.asarray(self.stored, np.float32)

    def at(self, position: int | slice | NDArray[Any]) -> Array:
        """Latents at a position [latent_dim], or at several [latent_dim, n]."""
        return self.stored[:, position].astype(np.float32)

    def span(self, file: int) -> tuple[int, int]:
        """First latent frame of a recording, and the one after its last."""
        return int(self.offsets[file]), int(self.offsets[file + 1])

    def file_of(self, position: int) -> int:
        """Index of the recording that holds a latent frame."""
        return int(np.searchsorted(self.offsets, position, side="right")) - 1

    def named(self, name: str) -> int:
        """Index of the recording that is called so, with or without folder and suffix.

        Raises InvalidValue that lists the names most like it.
        """
        for names in (self.files, [Path(file).name for file in self.files], [Path(file).stem for file in self.files]):
            found = [i for i, file in enumerate(names) if file == name]
            if len(found) == 1:
                return found[0]
            if found:
                raise InvalidValue(f"near is {name!r}, which may be {' or '.join(self.files[i] for i in found[:4])}")
        short = [Path(file).name for file in self.files]
        known = short if len(set(short)) == len(short) else list(self.files)
        stems = {Path(file).stem.casefold(): file for file in known}
        close = [stems[stem] for stem in difflib.get_close_matches(Path(name).stem.casefold(), stems, n=3, cutoff=0.5)]
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known[:3])}"
        rest = len(known) - len(close or known[:3])
        raise InvalidValue(f"near is {name!r}, which is no recording of this model; {hint}"
                           f"{f' ({rest} more)' if rest else ''}")

    def neighbours(self, position: int, count: int, apart: int) -> tuple[NDArray[np.int64], Array]:
        """The `count` frames most like `position` that lie at least `apart` frames from it in its own recording.

        Returns their positions and their distances (root of the summed squares, 1 for that of a frame's usual distance
        from the corpus's mean).
        """
        places, telling = self._candidates
        distance = telling - self._telling(position)[:, None]
        squared = np.einsum("dt,dt->t", distance, distance)
        first, last = self._beside(position, apart)
        squared[first:last] = np.inf
        nearest = np.argpartition(squared, min(count, len(squared) - 1))[:count] if count < len(squared) \
            else np.arange(len(squared))
        nearest = nearest[np.lexsort((nearest, squared[nearest]))]
        nearest = nearest[np.isfinite(squared[nearest])]
        return places[nearest], np.sqrt(squared[nearest])

    def usual_distance(self, apart: int) -> float:
        """Median distance from a frame to its nearest neighbour, over at most 48 frames spread through the corpus."""
        return self.once(("usual distance", apart), lambda: self._usual_distance(apart))

    def _usual_distance(self, apart: int) -> float:
        places, telling = self._candidates
        positions = np.linspace(0, self.total - 1, min(48, self.total)).astype(np.int64)
        here = self._telling(positions)
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a b, for all pairs at once
        lengths = np.einsum("dt,dt->t", telling, telling)
        squared = np.square(here).sum(axis=0)[:, None] + lengths - 2 * (here.T @ telling)
        for row, first, last in zip(squared, *self._beside(positions, apart), strict=True):
            row[first:last] = np.inf
        least = np.maximum(squared.min(axis=1), 0)
        nearest = sorted(np.sqrt(least[np.isfinite(least)]).tolist())
        half = len(nearest) // 2  # the median; np.median would import numpy.ma, 25 ms
        return (nearest[half] + nearest[-1 - half]) / 2 if nearest else 0.0

    def _beside(self, position: Any, apart: int) -> tuple[Any, Any]:
        """The candidates, first and last, that lie less than `apart` frames from `position`, or from each of several,
        in its own recording."""
        stop = np.searchsorted(self.offsets, position, side="right")
        reach = (np.maximum(self.offsets[stop - 1], position - apart), np.minimum(self.offsets[stop], position + apart))
        first, last = np.searchsorted(self._candidates[0], reach)
        return first, last

    @cached_property
    def sounding(self) -> NDArray[np.bool_]:
        """[total]: which frames are sound and not the silence around it."""
        return self.within(_SOUNDING_DB)

    def within(self, range_db: float) -> NDArray[np.bool_]:
        """[total]: which frames are at most so far under the loudest of their recording."""
        loudest = np.maximum.reduceat(self.level, self.offsets[:-1])
        result: NDArray[np.bool_] = self.level >= np.repeat(loudest, np.diff(self.offsets)) - np.float32(range_db)
        return result

    def measure_spread(self, rate_hz: float) -> Array:
        """`spread` from the latents: the square root of the mean outer product of neighbours' differences.

        Noise of the same size in every direction would mostly be noise in loudness, the strongest direction of all;
        near neighbours in a corpus differ in colour and pitch far more than in level.
        """
        apart = max(1, round(0.5 * rate_hz))
        places = _evenly(self.total, _SPREAD_PLACES)
        steps = [self.at(self.neighbours(int(p), _SPREAD_NEIGHBOURS, apart)[0]) - self.at(slice(p, p + 1))
                 for p in places]
        joined = np.concatenate(steps, axis=1).astype(np.float64)
        if joined.shape[1] == 0:  # one short recording: no frame has a neighbour
            return (0.3 * np.diag(self.latents.std(axis=1))).astype(np.float32)
        values, vectors = np.linalg.eigh(joined @ joined.T / joined.shape[1])
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        enough = 1 + int(np.searchsorted(np.cumsum(values), _VARIED * values.sum()))
        root: Array = (vectors * np.sqrt(values))[:, :enough].astype(np.float32)
        return root

    @cached_property
    def _axes(self) -> tuple[NDArray[np.int64], np.float32]:
        """Which latents tell who is near whom, and one over the usual distance from their mean.

        A latent's size is how much is heard of it, so most of them hardly matter, and what they have is mostly noise.
        """
        variance = np.square(self.at(_evenly(self.total, _TYPICAL)).std(axis=1))
        order = np.argsort(variance)[::-1]
        running = np.cumsum(variance[order])
        enough = 1 + int(np.searchsorted(running, _TELLING * running[-1]))
        return np.sort(order[:enough]), 1 / np.sqrt(max(running[-1], np.float32(1e-12)))

    def _telling(self, position: int | NDArray[np.int64]) -> Array:
        """[axes] or [axes, n]: what tells frames from others."""
        axes, scale = self._axes
        chosen: Array = self.stored[axes if np.ndim(position) == 0 else axes[:, None], position] * scale
        return chosen

    @cached_property
    def _candidates(self) -> tuple[NDArray[np.int64], Array]:
        """Frames that may be neighbours: their positions, and what tells them from others."""
        places = _evenly(self.total, _CANDIDATES)
        if len(places) < self.total:
            return places, self._telling(places)
        axes, scale = self._axes
        return places, self.stored.take(axes, axis=0) * scale  # whole rows, which takes a third of the time


def _finite(values: NDArray[Any]) -> bool:
    """Whether all are. Of half floats numpy would make single ones first; their bits tell as well.

    What is not finite has an exponent of ones: 7C00 and more, and with the sign's bit FC00 and more.
    """
    if values.dtype == np.float16:
        return bool(values.view(np.int16).max(initial=0) < 0x7C00 and values.view(np.uint16).max(initial=0) < 0xFC00)
    return values.dtype.kind == "f" and bool(np.isfinite(values).all())


def _evenly(total: int, most: int) -> NDArray[np.int64]:
    """At most `most` different positions, evenly spaced over `total`. (np.unique would import numpy.ma, 25 ms.)"""
    places = np.linspace(0, total - 1, min(most, total)).astype(np.int64)
    different: NDArray[np.int64] = places[np.append(True, np.diff(places) > 0)]
    return different
