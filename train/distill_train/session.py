"""One call of `distill-train`: prepare, train until the budget is used up or a signal comes, save."""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import distill

from .advice import stalled
from .audio import ORIGINAL
from .checkpoint import CHECKPOINT_FILE, Checkpoint, save_checkpoint
from .crops import CropSampler
from .evaluate import evaluation_set, level_error_db
from .facts import Facts
from .files import atomic_write
from .filler import CacheFiller
from .options import Options
from .prepare import Prepared, prepare
from .progress import Progress, clock
from .run_folder import HISTORY_FILE, open_run
from .signals import StopRequest
from .spectrograms import missing
from .trainer import StepLoss

SAVE_INTERVAL = 60.0  # seconds between saves
EVALUATION_INTERVAL = 10.0  # seconds between looks at the held-out recordings ...
EVALUATION_SHARE = 0.05  # ... which may take up to this share of the time
EVALUATIONS = 20  # of a run by steps, at steps that depend on nothing else, so that it ends the same way every time
_SMOOTHING = 50  # steps that a reported loss is averaged over
_WORTH_DB = 0.05  # what an earlier moment must have been better by: what came after it holds loud partials better


@dataclass(frozen=True, slots=True)
class Result:
    """How a call ended. `signal` is None if the budget was used up; `seconds` of training, over all resumptions."""

    checkpoint: Checkpoint
    path: Path
    signal: int | None
    losses: StepLoss
    training_db: float
    held_out_db: float | None  # None if nothing is held out
    first_checkpoint_seconds: float | None  # from the start of the call; None when resuming
    audio_seconds_per_second: float
    left_out: int  # files


def train(options: Options, progress: Progress, stop: StopRequest) -> Result:
    """Do what `options` ask. Raises DistillError, or Stopped if a signal came before there was anything to save."""
    began = time.monotonic()
    previous = open_run(options)
    prepared = prepare(options, previous, progress, stop)
    session = Session(prepared, options.run, previous, progress, stop)
    first = None
    if previous is None:
        session.evaluate()
        session.save()
        first = time.monotonic() - began
        progress.note(f"first model saved after {first:.1f} s in {session.path}; it can be exported while this goes on")
    else:
        done = f"step {previous.steps}, {clock(previous.elapsed_seconds)}"
        progress.note(f"resuming at {done} of {prepared.facts.budget}")
    with CacheFiller(missing(prepared.training)):
        session.train()
    return session.finish(first)


class Session:
    """The loop around the trainer: its clock, its record, its saves."""

    def __init__(
        self, prepared: Prepared, run: Path, previous: Checkpoint | None, progress: Progress, stop: StopRequest
    ) -> None:
        self.facts: Facts = prepared.facts
        self.path = run / CHECKPOINT_FILE
        self._prepared = prepared
        self._trainer = prepared.trainer
        self._progress = progress
        self._stop = stop
        facts = self.facts
        self._sampler = CropSampler(prepared.training, facts.stats, facts.recipe, facts.spec.floor_db)
        per_latent = facts.network.frames_per_latent
        originals = [source for source in prepared.training if source.piece.pitch == ORIGINAL]
        self._training_set = evaluation_set(originals, facts.stats, per_latent)
        self._held_out_set = evaluation_set(prepared.held_out, facts.stats, per_latent)
        self._history: list[dict[str, float]] = list(previous.history) if previous else []
        self._best = dict(previous.best) if previous else {}
        self._elapsed_before = previous.elapsed_seconds if previous else 0.0
        self._steps_before = self._trainer.steps
        self._began: float | None = None  # when the first step here began
        self._recent: deque[StepLoss] = deque(maxlen=_SMOOTHING)
        self._advised = False

    def elapsed(self) -> float:
        """Seconds of training so far, over all resumptions."""
        return self._elapsed_before + self._here()

    def _here(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def train(self) -> None:
        """Step until the budget is used up or a signal has come."""
        self._began = time.monotonic()
        next_save = time.monotonic() + SAVE_INTERVAL
        next_evaluation = time.monotonic() + EVALUATION_INTERVAL
        while self._used() < 1 and self._stop.number is None:
            loss = self._trainer.step(self._sampler, self._used(), self.facts.stats.std[0])
            self._recent.append(loss)
            now = time.monotonic()
            if self._is_due(now >= next_evaluation):
                self.evaluate()
                took = time.monotonic() - now
                next_evaluation = now + max(EVALUATION_INTERVAL, took / EVALUATION_SHARE)
            if now >= next_save:
                self.save()
                next_save = time.monotonic() + SAVE_INTERVAL
            self._progress.status(self._status(), self._used())

    def _is_due(self, time_is_up: bool) -> bool:
        """Whether to look at the held-out recordings now."""
        steps = self.facts.budget.steps
        return time_is_up if steps is None else self._trainer.steps % _evaluation_steps(steps) == 0

    def evaluate(self) -> None:
        """Measure the averaged weights and add a row to the history."""
        trainer, stats = self._trainer, self.facts.stats
        pieces = self._held_out_set or self._training_set
        row = {"step": float(trainer.steps), "seconds": round(self.elapsed(), 3)}
        error = level_error_db(trainer.ema_encoder, trainer.ema_decoder, pieces, stats)
        row["held_out_db" if self._held_out_set else "training_db"] = error
        if self._recent:
            row |= self._losses()._asdict()
        self._history.append(row)
        if row in self._candidates() and error == self._least()[0]:
            self._best = trainer.average()
        if self._held_out_set and not self._advised and (advice := stalled(self._history)):
            self._progress.note(advice)
            self._advised = True

    def _candidates(self) -> list[dict[str, float]]:
        """Rows of the history whose moment may become the model: of a run by steps not those where a call ended."""
        steps = self.facts.budget.steps
        every = 1 if steps is None else _evaluation_steps(steps)
        return [row for row in self._history if row["step"] % every == 0]

    def _least(self) -> tuple[float, int]:
        """The least error of the averaged weights at any candidate, dB, and the step where it was."""
        return min((_error(row), int(row["step"])) for row in self._candidates())

    def _earlier_was_better(self, error: float) -> bool:
        return self._least()[0] < error - _WORTH_DB

    def save(self, chosen: str | None = None, ended: bool = False) -> Checkpoint:
        """Write the checkpoint and the history as they are now."""
        if chosen is None:
            chosen = "best" if self._earlier_was_better(_error(self._history[-1])) else "ema"
        facts = {field.name: getattr(self.facts, field.name) for field in fields(Facts)}
        checkpoint = Checkpoint(
            **facts, **self._trainer.state()._asdict(), elapsed_seconds=self.elapsed(), complete=self._used() >= 1,
            best=self._best, chosen=chosen, history=list(self._history), libraries=_libraries(),
            created=datetime.now(UTC).isoformat(timespec="seconds") if ended else None,
        )
        save_checkpoint(self.path, checkpoint)
        with atomic_write(self.path.with_name(HISTORY_FILE)) as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in self._history).encode())
        return checkpoint

    def finish(self, first_checkpoint_seconds: float | None) -> Result:
        """Decide which weights are the model, save for the last time."""
        trainer, stats = self._trainer, self.facts.stats
        self.evaluate()
        pieces = self._held_out_set or self._training_set
        trainer.encoder.eval()
        trainer.decoder.eval()
        errors = {
            "raw": level_error_db(trainer.encoder, trainer.decoder, pieces, stats),
            "ema": level_error_db(trainer.ema_encoder, trainer.ema_decoder, pieces, stats),
        }
        chosen = "raw" if errors["raw"] < errors["ema"] else "ema"
        if self._earlier_was_better(errors[chosen]):
            chosen = "best"
            errors["best"], step = self._least()
            self._progress.note(f"the model is that of step {step}: later ones did worse on what was held out"
                                if self._held_out_set else f"the model is that of step {step}: later ones did worse")
        seconds = self._here()
        checkpoint = self.save(chosen, ended=True)
        networks = checkpoint.build_networks()
        self._progress.close()
        steps = trainer.steps - self._steps_before
        return Result(
            checkpoint=checkpoint, path=self.path, signal=None if checkpoint.complete else self._stop.number,
            losses=self._losses(), training_db=level_error_db(*networks, self._training_set, stats),
            held_out_db=errors[chosen] if self._held_out_set else None,
            first_checkpoint_seconds=first_checkpoint_seconds,
            audio_seconds_per_second=steps * self._audio_seconds_per_step() / max(seconds, 1e-9),
            left_out=self._prepared.left_out,
        )

    def _used(self) -> float:
        return self.facts.budget.used(self._trainer.steps, self.elapsed())

    def _losses(self) -> StepLoss:
        if not self._recent:
            return StepLoss(*[float("nan")] * len(StepLoss._fields))
        return StepLoss(*(float(value) for value in np.mean(np.array(self._recent), axis=0)))

    def _audio_seconds_per_step(self) -> float:
        recipe = self.facts.recipe
        return recipe.batch_size * recipe.crop_frames / self.facts.spec.frame_rate_hz

    def _status(self) -> str:
        elapsed, used = self.elapsed(), self._used()
        rate = (self._trainer.steps - self._steps_before) / max(self._here(), 1e-9)
        budget = self.facts.budget
        if budget.steps is not None:
            left = (budget.steps - self._trainer.steps) / max(rate, 1e-9)
        else:
            left = (budget.seconds or 0) - elapsed
        error = self._history[-1].get("held_out_db", self._history[-1].get("training_db", float("nan")))
        label = "held out" if self._held_out_set else "training error"
        return (
            f"{used:4.0%}  {clock(elapsed)} done, {clock(left)} left  step {self._trainer.steps}  "
            f"loss {self._losses().total:.3f}  {label} {error:.2f} dB  "
            f"{rate * self._audio_seconds_per_step():.0f} audio s/s"
        )


def _evaluation_steps(steps: int) -> int:
    """Steps from one look at the held-out recordings to the next, in a run of so many."""
    return max(1, steps // EVALUATIONS)


def _error(row: dict[str, float]) -> float:
    """dB."""
    return row.get("held_out_db", row.get("training_db", math.inf))


def summary(result: Result, run: Path) -> dict[str, Any]:
    """What `--json` prints."""
    checkpoint = result.checkpoint
    held_out = [file for file in checkpoint.corpus if file.held_out]
    return {
        "run": str(run),
        "checkpoint": str(result.path),
        "steps": checkpoint.steps,
        "seconds": round(checkpoint.elapsed_seconds, 3),
        "complete": checkpoint.complete,
        "seed": checkpoint.seed,
        "losses": {name: _finite(value) for name, value in result.losses._asdict().items()},
        "held_out_db": result.held_out_db,
        "training_db": result.training_db,
        "weights": checkpoint.chosen,
        "first_checkpoint_seconds": result.first_checkpoint_seconds,
        "audio_seconds_per_second": result.audio_seconds_per_second,
        "corpus": {
            "files": len(checkpoint.corpus),
            "seconds": sum(file.seconds for file in checkpoint.corpus),
            "training": len(checkpoint.corpus) - len(held_out),
            "held_out": len(held_out),
            "left_out": result.left_out,
        },
        "spec": asdict(checkpoint.spec),
        "network": asdict(checkpoint.network),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _libraries() -> dict[str, str]:
    return {
        "distill": distill.__version__, "python": platform.python_version(), "torch": str(torch.__version__),
        "torchaudio": version("torchaudio"), "numpy": np.__version__,
    }
