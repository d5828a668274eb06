"""Batches of short pieces of the corpus, drawn at random from a generator whose state can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Recipe
from .statistics import Statistics

_AT_FLOOR_DB = 0.1  # the cache keeps levels in half precision: steps of up to .125 dB


class Source(Protocol):
    """A recording at one pitch: how many frames it has, and any of them on demand."""

    @property
    def frames(self) -> int: ...

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Frames start..stop, [frames, 2, n_mels], dB and deviation."""
        ...


class CropSampler:
    """Draws batches [batch_size, 2, n_mels, crop_frames] in normalised units.

    A recording is drawn in proportion to its frames. Starts are drawn from beyond both ends and pulled back in, so
    that the first frames, the attack, are seen about as often as the rest, and not only when a crop happens to start
    right there.
    """

    def __init__(
        self, sources: Sequence[Source], statistics: Statistics, recipe: Recipe, floor_db: float
    ) -> None:
        self._sources = sources
        self._statistics = statistics
        self._recipe = recipe
        self._floor_db = floor_db
        self._weights = torch.tensor([source.frames for source in sources], dtype=torch.float64)

    def batch(self, generator: torch.Generator) -> Tensor:
        """The next batch, on the CPU. The same generator state gives the same batch."""
        recipe = self._recipe
        which = torch.multinomial(self._weights, recipe.batch_size, replacement=True, generator=generator)
        where = torch.rand(recipe.batch_size, generator=generator, dtype=torch.float64)
        gain_db = (torch.rand(recipe.batch_size, generator=generator) * 2 - 1) * recipe.level_jitter_db
        crops = []
        for index, position, gain in zip(which.tolist(), where.tolist(), gain_db.tolist(), strict=True):
            source = self._sources[index]
            last = source.frames - recipe.crop_frames
            start = int(position * (last + 1 + 2 * recipe.crop_margin)) - recipe.crop_margin
            start = min(max(start, 0), last)
            crop = source.read(start, start + recipe.crop_frames)
            crops.append(self._statistics.normalise(change_level(crop, gain, self._floor_db)))
        # Frames come first in memory, as the network's patches do: this permutation costs nothing there.
        return torch.from_numpy(np.stack(crops)).permute(0, 2, 3, 1)


def change_level(crop: NDArray[np.float32], gain_db: float, floor_db: float) -> NDArray[np.float32]:
    """[frames, 2, n_mels] made louder by gain_db. What lies at the floor is silence and stays there."""
    result = crop.copy()
    level = crop[:, 0]
    silent = level <= floor_db + _AT_FLOOR_DB
    result[:, 0] = np.where(silent, level, np.maximum(level + np.float32(gain_db), floor_db))
    return result
