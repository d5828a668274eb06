"""The exponential moving average of the weights: smoother than the last step, and usually the better model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class MovingAverage:
    """Keeps `average` the moving average of `live`, both in place. The tensors go by the same names."""

    def __init__(self, live: Mapping[str, Tensor], average: Mapping[str, Tensor], decay: float, every: int) -> None:
        self._live = list(live.values())
        self._average = [average[name] for name in live]
        self._decay = decay
        self._every = every

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step `step` (counted from 1). Early on the average is over all steps so far, then exponential."""
        if step % self._every == 0:
            share = max(1 - self._decay**self._every, self._every / (step + 1))
            torch._foreach_lerp_(self._average, self._live, min(1.0, share))
