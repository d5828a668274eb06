"""The run folder: what may be written where, and what a resumed run must agree with."""

from __future__ import annotations

from pathlib import Path

from distill.errors import FileError, InvalidValue, NotFound

from .checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint
from .options import Options
from .parent import weights_are_for
from .schedule import Budget
from .spectrograms import CACHE_FOLDER, SpectrogramCache

HISTORY_FILE = "history.jsonl"


def open_run(options: Options) -> Checkpoint | None:
    """The checkpoint to resume from, or None for a new run. Writes nothing: --force replaces a run only once there is
    something to replace it with.

    Raises InvalidValue if there is a run already and neither --resume nor --force was given, NotFound if there is
    none to resume, FileError if the folder cannot be one.
    """
    run = options.run
    file = run / CHECKPOINT_FILE
    if options.resume and options.force:
        raise InvalidValue("give either --resume (go on) or --force (start again), not both")
    if options.resume and options.parent is not None:
        raise InvalidValue("--from begins a new run; one that is resumed goes on with its own weights, so leave --from "
                           "or --resume out")
    if options.resume:
        if not file.exists():
            raise NotFound(f"{file} does not exist; there is no run to resume, leave --resume out to begin one")
        previous = load_checkpoint(file)
        _agree(options, previous)
        return previous
    if file.exists() and not options.force:
        raise InvalidValue(f"{run} holds a run already; --resume goes on with it, --force starts again")
    if run.exists() and not run.is_dir():
        raise FileError(f"{run} is a file; -o must name a folder")
    if run.is_dir() and not options.force and _strangers(run):
        raise InvalidValue(f"{run} is not empty and not a run; give -o a new folder, or use --force to write into it")
    return None


def next_budget(options: Options, previous: Checkpoint) -> Budget:
    """The budget of a resumed run.

    Raises InvalidValue if it is used up already, unless the cache, which exporting needs, has been deleted: then
    resuming makes it again.
    """
    if options.minutes is not None and options.steps is not None:
        raise InvalidValue("give either --minutes or --steps, not both")
    budget = previous.budget
    if options.steps is not None:
        budget = Budget(steps=options.steps)
    elif options.minutes is not None:
        budget = Budget(seconds=60 * options.minutes)
    cache = SpectrogramCache(options.run / CACHE_FOLDER, previous.spec, previous.recipe.crop_frames)
    lost = not all(cache.path(file.sha256).exists() for file in previous.corpus)
    if budget.used(previous.steps, previous.elapsed_seconds) >= 1 and not lost:
        raise InvalidValue(
            f"{options.run} is complete: {previous.steps} steps in {previous.elapsed_seconds / 60:.1f} minutes of "
            f"{budget}; to go on, give --minutes or --steps larger than that"
        )
    return budget


def _strangers(run: Path) -> bool:
    """Whether the folder holds anything that an earlier call, stopped before its first checkpoint, did not make."""
    return any(item.name != CACHE_FOLDER and not item.name.startswith(".") for item in run.iterdir())


def _agree(options: Options, previous: Checkpoint) -> None:
    """Options given on resuming must be those the run was begun with."""
    copies = len(previous.recipe.pitches) - 1
    begun = {"seed": previous.seed, "pitch_copies": copies, **weights_are_for(previous, options)}
    for name, value in begun.items():
        given = getattr(options, name)
        if given is not None and given != value:
            flag = "--" + name.replace("_", "-")
            raise InvalidValue(f"{flag} is {given} but this run was begun with {value}; leave {flag} out, "
                               "or start a new run with another -o or with --force")
