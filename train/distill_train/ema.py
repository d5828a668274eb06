"""The exponential moving average of the weights: smoother than the last step, and usually the better model."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingAverage:
    """Keeps the weights of `averages` the moving average of those of `networks`, alike in shape, in their order.

    It asks the networks for their weights each time: moved to another device, they keep them in another place.
    """

    def __init__(self, networks: tuple[nn.Module, ...], averages: tuple[nn.Module, ...], decay: float,
                 every: int) -> None:
        self._networks = networks
        self._averages = averages
        self._decay = decay
        self._every = every

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step `step` (counted from 1). Early on the average is over all steps so far, then exponential."""
        if step % self._every == 0:
            share = max(1 - self._decay**self._every, self._every / (step + 1))
            torch._foreach_lerp_(_weights(self._averages), _weights(self._networks), min(1.0, share))


def _weights(networks: tuple[nn.Module, ...]) -> list[Tensor]:
    return [tensor for network in networks for tensor in network.state_dict().values()]
