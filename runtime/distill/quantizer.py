"""float32 samples to what a file of a certain bit depth holds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import NumericError
from .rng import Rng

Array = NDArray[np.float32]
BitDepth = Literal["16", "24", "float"]

_CONTAINERS: dict[str, tuple[type[np.signedinteger[Any]], int]] = {"16": (np.int16, 15), "24": (np.int32, 31)}


class Quantizer:
    """Rounds, and counts in `clipped` the samples that were beyond full scale.

    16 bits get triangular dither of one step either way (the sum of two uniform draws), which makes the error
    independent of the signal (Lipshitz, Wannamaker and Vanderkooy, 1992); at 24 bits it would lie under any
    converter's own noise, so rounding is enough. 24 bits come left-justified in int32. The dither comes from `seed`
    and does not depend on how the samples are cut into calls. Raises NumericError for samples that are not finite,
    which a whole number would turn into a bang.
    """

    def __init__(self, bit_depth: BitDepth, seed: int) -> None:
        self._depth = bit_depth
        self._rng = Rng((seed, 0xD17))
        self.clipped = 0

    def __call__(self, audio: Array) -> NDArray[Any]:
        """Samples [any] or [any, channels], full scale +-1 -> the same shape."""
        if not np.isfinite(audio).all():
            raise NumericError("there are samples that are not finite; nothing can be written of them")
        if self._depth == "float":
            return np.asarray(audio, np.float32)
        kind, bits = _CONTAINERS[self._depth]
        significant = int(self._depth) - 1
        scaled = np.asarray(audio, np.float64) * (1 << significant)
        top = (1 << significant) - 1
        self.clipped += int(np.count_nonzero((scaled > top + 1) | (scaled < -top - 1)))
        if self._depth == "16":
            draws = self._rng.bits(scaled.size).view(np.uint32).reshape(*scaled.shape, 2) * 2.0**-32
            scaled += draws[..., 0] - draws[..., 1]
        np.clip(np.rint(scaled, out=scaled), -top - 1, top, out=scaled)
        scaled *= 1 << (bits - significant)
        return scaled.astype(kind)
