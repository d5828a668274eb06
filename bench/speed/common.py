"""What the parts of the speed bench share: clock, turns, latents, and lines about what was wanted."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from distill import benchmark
from distill.knobs import Knobs
from distill.model import Model

Array = NDArray[np.float32]
ROUNDS = 9
# Processor time: everything runs on one thread, and what other programs take is not counted.
clock = time.process_time
medians = partial(benchmark.medians, clock=clock)


def goal(what: str, measured: float, wanted: float, unit: str, *, least: bool = False) -> str:
    """A row of the first table. least: `wanted` is the least that would do, not the most."""
    met = measured >= wanted if least else measured <= wanted
    digits = 0 if wanted >= 30 else 1
    return (f"| {what} | {measured:.{digits if measured >= 10 else 2}f} {unit} | "
            f"{'at least' if least else 'at most'} {wanted:g} {unit} | {'' if met else 'missed'} |")


def some_latents(model: Model, seconds: float) -> Array:
    pieces = list(model.latents(Knobs(seed=1), round(seconds * model.spec.frame_rate_hz)))
    return np.ascontiguousarray(np.concatenate(pieces, axis=1), np.float32)
