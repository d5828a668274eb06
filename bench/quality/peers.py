"""The systems of others that ours is compared with, trained on the same recordings for the same time.

Their time is processor time, so that other work on the machine does not rob them: for a minute of ours on two threads
they get two minutes of it, on one thread, where none is lost in waiting for another. A budget of steps is one of steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from distill.errors import InvalidValue
from distill_train.schedule import Budget

from . import public_vae, rave_v2
from .division import Division
from .models import System, label
from .recordings import Recording
from .results import Training


def check_peers(options: argparse.Namespace) -> None:
    """Raise what would otherwise be raised after minutes of training."""
    peers = options.public_vae or options.rave
    if peers and not (options.models or options.bundle):
        raise InvalidValue("--public-vae and --rave need to know how long: give --models minutes=M, or a --bundle")
    if options.peers_only and not peers:
        raise InvalidValue("--peers-only is given without --public-vae or --rave: there is nothing to train")
    rave_v2.check(options.rave_python)


def train_peers(division: Division, budget: Budget, cases: Sequence[Recording], options: argparse.Namespace,
                work: Path, tell: Callable[[str], None]) -> Iterator[tuple[list[System], list[Training]]]:
    """Those that `options` ask for, one after the other: its systems and what each took."""
    processors = options.threads
    told = f"models: {division.category}, {label(budget)}: training"

    def took(system: System, steps: int, seconds: float) -> Training:
        return Training(division.category, label(budget), system.name, steps, seconds, "processor", 1)

    if options.public_vae:
        tell(f"{told} a VAE on the public scheme")
        recipe, network = public_vae.plan(division.pitches)
        learnt = public_vae.train(division.training_sounds(), recipe, network, division.seed, budget, processors)
        models = [public_vae.PublicVae(learnt, mended) for mended in (False, True)]
        yield ([public_vae.trip(False), models[0], public_vae.trip(True), models[1]],
               [took(model, learnt.steps, learnt.seconds) for model in models])
    if options.rave:
        tell(f"{told} RAVE v2")
        rave, steps, seconds = rave_v2.train(division.training_sounds(), cases, budget, processors,
                                             options.rave_python, work)
        yield [rave], [took(rave, steps, seconds)]
