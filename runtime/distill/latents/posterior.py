"""What is known of a corpus's latents as a whole: where they lie and how they vary."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from distill.prior import Prior
from distill.sidecar import Latent

Array = NDArray[np.float32]

_ENOUGH = 4096  # frames of a large corpus, evenly spaced, that statistics are made of
_ROOTED = 1024  # of these that the root is made of: more have nothing new, and it would take long
_NEIGHBOURLY = 0.4  # of the whole variation: a small step, where no stored corpus says what one is


class Posterior(Struct, frozen=True, eq=False):
    """Statistics of the latents that sound like the corpus.

    mean, std: float32 [latent_dim].
    middle: [latent_dim], a typical sound; None where no stored corpus has one.
    root: [latent_dim, any], root @ root.T the covariance.
    step: [latent_dim, any], the same of the difference between places that are alike.
    """

    mean: Array
    std: Array
    middle: Array | None
    root: Array
    step: Array

    @classmethod
    def of(cls, latent: Latent, prior: Prior | None) -> Posterior:
        """From the stored corpus, found once; where there is none, from the sidecar."""
        if prior is not None:
            return prior.once(cls, lambda: cls._of_corpus(prior))
        mean, std = np.array(latent.mean), np.array(latent.std)
        axes = np.array(latent.pca.components).reshape(-1, latent.dim)
        # The sidecar has the variance along the first axes, and of each dimension: what the axes do not explain of
        # a dimension is taken as its own.
        variance = np.array(latent.pca.variance_ratio) * np.square(std).sum()
        covariance = (axes.T * variance) @ axes
        covariance[np.diag_indices(latent.dim)] += np.maximum(np.square(std) - np.diag(covariance), 0)
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
        return cls(mean.astype(np.float32), std.astype(np.float32), None, root, root * np.float32(_NEIGHBOURLY))

    @classmethod
    def _of_corpus(cls, prior: Prior) -> Posterior:
        """Without its silences."""
        places = np.flatnonzero(prior.sounding)[::-(-int(prior.sounding.sum()) // _ENOUGH)]
        sounding = prior.at(places)
        mean = sounding.mean(axis=1)
        std = np.maximum(sounding.std(axis=1), np.float32(1e-3))
        # Frames as they are, their mean taken off, are a root: it needs no square matrix to be taken apart.
        apart = (sounding - mean[:, None])[:, ::-(-sounding.shape[1] // _ROOTED)]
        return cls(mean, std, most_typical(sounding, prior.level[places]), apart / np.sqrt(np.float32(apart.shape[1])),
                   prior.spread)


def most_typical(latents: Array, level: Array) -> Array:
    """Of latents [dim, frames] of at least median level, the one nearest to the median.

    The median itself is no sound of the corpus: between the partials of many notes it has the partials of none, and
    is 40 dB too soft.
    """
    loud = latents[:, level >= np.median(level)]
    apart = loud - np.median(latents, axis=1)[:, None]
    result: Array = loud[:, int(np.argmin(np.square(apart).sum(axis=0)))]
    return result
