"""Runs for tests: begin one, and compare what two of them came to."""

from __future__ import annotations

import io
from collections.abc import Callable

import torch

from distill_train.checkpoint import Checkpoint
from distill_train.options import Options
from distill_train.progress import Progress
from distill_train.session import Result, train
from distill_train.signals import StopRequest

Make = Callable[..., Options]


def go(options: Options, stop: StopRequest | None = None) -> Result:
    return train(options, Progress(io.StringIO()), stop or StopRequest())


def equal_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = [(one.weights, other.weights), (one.ema, other.ema), (one.best, other.best),
             (one.model_weights, other.model_weights)]
    return all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)
