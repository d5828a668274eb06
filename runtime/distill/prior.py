"""The corpus as latents: what the recordings became, file by file, and who is near whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .errors import BundleError

Array = NDArray[np.float32]

_SPREAD_PLACES = 400  # frames of the corpus whose neighbours are looked at
_SPREAD_NEIGHBOURS = 4


@dataclass(frozen=True)
class Prior:
    """Encoded trajectories of the corpus.

    latents: float32 [latent_dim, total], all recordings one after the other.
    offsets: int64 [files + 1]; recording i is latents[:, offsets[i]:offsets[i + 1]].
    files: names of the recordings.
    spread: float32 [latent_dim, latent_dim], L with L L^T the covariance of the differences between near neighbours:
        the directions and sizes in which this corpus varies while staying itself. L @ white noise is a small step.
    """

    latents: Array
    offsets: NDArray[np.int64]
    files: tuple[str, ...]
    spread: Array

    @classmethod
    def of(cls, bundle: Bundle) -> Prior | None:
        """The bundle's prior, or None where it has none. Raises BundleError where it is broken."""
        if bundle.sidecar.file("prior") is None:
            return None
        arrays = bundle.arrays("prior")
        where, dim = f"{bundle.path}: prior", bundle.sidecar.latent.dim
        keys = {"latents", "offsets", "files", "spread"}
        if keys != set(arrays):
            raise BundleError(f"{where}: must hold {', '.join(sorted(keys))}; missing {sorted(keys - set(arrays))}, "
                              f"unknown {sorted(set(arrays) - keys)}")
        latents = np.asarray(arrays["latents"], np.float32)
        offsets, names = np.asarray(arrays["offsets"]), arrays["files"]
        if latents.ndim != 2 or latents.shape[0] != dim or not np.isfinite(latents).all():
            raise BundleError(f"{where}: `latents` has shape {latents.shape} or non-finite numbers; must be finite, "
                              f"[{dim}, total]")
        if (offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2 or offsets[0] != 0
                or offsets[-1] != latents.shape[1] or (np.diff(offsets.astype(np.int64)) < 1).any()):
            raise BundleError(f"{where}: `offsets` must rise from 0 to {latents.shape[1]}")
        if names.shape != (len(offsets) - 1,) or names.dtype.kind != "U":
            raise BundleError(f"{where}: `files` must be {len(offsets) - 1} names")
        spread = np.asarray(arrays["spread"], np.float32)
        if spread.shape != (dim, dim) or not np.isfinite(spread).all():
            raise BundleError(f"{where}: `spread` has shape {spread.shape} or non-finite numbers; must be finite, "
                              f"[{dim}, {dim}]")
        return cls(latents, offsets.astype(np.int64), tuple(str(n) for n in names), spread)

    @property
    def total(self) -> int:
        """Latent frames in all."""
        return int(self.latents.shape[1])

    def span(self, file: int) -> tuple[int, int]:
        """First latent frame of a recording, and the one after its last."""
        return int(self.offsets[file]), int(self.offsets[file + 1])

    def file_of(self, position: int) -> int:
        """Index of the recording that holds a latent frame."""
        return int(np.searchsorted(self.offsets, position, side="right")) - 1

    def neighbours(self, position: int, count: int, apart: int) -> tuple[NDArray[np.int64], Array]:
        """The `count` frames most like `position` that lie at least `apart` frames from it in its own recording.

        Returns their positions and their distances (root mean square over dimensions, in corpus standard deviations).
        """
        distance = self._whitened - self._whitened[:, position:position + 1]
        squared = np.einsum("dt,dt->t", distance, distance) / len(distance)
        start, stop = self.span(self.file_of(position))
        squared[max(start, position - apart):min(stop, position + apart)] = np.inf
        nearest = np.argsort(squared, kind="stable")[:count]
        nearest = nearest[np.isfinite(squared[nearest])]
        return nearest.astype(np.int64), np.sqrt(squared[nearest])

    def measure_spread(self, rate_hz: float) -> Array:
        """`spread` from the latents: the square root of the mean outer product of neighbours' differences.

        Noise of the same size in every direction would mostly be noise in loudness, the strongest direction of all;
        near neighbours in a corpus differ in colour and pitch far more than in level.
        """
        apart = max(1, round(0.5 * rate_hz))
        places = np.unique(np.linspace(0, self.total - 1, min(_SPREAD_PLACES, self.total)).astype(int))
        steps = [self.latents[:, self.neighbours(int(p), _SPREAD_NEIGHBOURS, apart)[0]] - self.latents[:, p:p + 1]
                 for p in places]
        joined = np.concatenate(steps, axis=1).astype(np.float64)
        if joined.shape[1] == 0:  # one short recording: no frame has a neighbour
            return (0.3 * np.diag(self.latents.std(axis=1))).astype(np.float32)
        values, vectors = np.linalg.eigh(joined @ joined.T / joined.shape[1])
        root: Array = ((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T).astype(np.float32)
        return root

    @cached_property
    def _whitened(self) -> Array:
        std: Array = self.latents.std(axis=1, keepdims=True)
        return (self.latents / np.maximum(std, np.float32(1e-6))).astype(np.float32)
