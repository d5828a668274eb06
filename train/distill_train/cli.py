"""The `distill-train` command: train on a corpus, or inspect it first."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from distill.cli import door
from distill.errors import InvalidValue, MissingExtra
from distill.spec import SpectrogramSpec

from .options import DEFAULT_MINUTES, DEFAULT_N_MELS, DEFAULT_SEED, DEFAULT_SIZE, STEADY_N_MELS, STROKES_N_MELS, Options

_SETTINGS: dict[str, Any] = {
    "add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False,
}
trainer = typer.Typer(name="distill-train", **_SETTINGS)
inspector = typer.Typer(name="distill-train inspect", **_SETTINGS)

CorpusArgument = Annotated[Path, typer.Argument(metavar="CORPUS", help="A folder of recordings, or one recording.")]
Flag = typer.Option
_SPEC = SpectrogramSpec()


@trainer.command()
def train(
    corpus: CorpusArgument,
    run: Annotated[Path, Flag("--output", "-o", metavar="RUN", help="Folder for the checkpoint; made if need be.")],
    minutes: Annotated[float | None, Flag(help=f"Train for so long. [default: {DEFAULT_MINUTES:g}]")] = None,
    steps: Annotated[int | None, Flag(help="Train for so many steps instead.")] = None,
    resume: Annotated[bool, Flag("--resume", help="Go on with the run in RUN.")] = False,
    force: Annotated[bool, Flag("--force", help="Start again, replacing the run in RUN.")] = False,
    parent: Annotated[
        Path | None, Flag("--from", metavar="PARENT", help="Begin with the weights of this run or checkpoint, whose "
                          "spectrogram and size are then this one's too.")
    ] = None,
    seed: Annotated[int | None, Flag(help=f"Same seed, same split and same start. [default: {DEFAULT_SEED}]")] = None,
    sample_rate: Annotated[int | None, Flag(help=f"Hz, of the model. [default: {_SPEC.sample_rate}]")] = None,
    n_fft: Annotated[
        int | None, Flag(help=f"Samples in a window. [default: {_SPEC.n_fft} or {_SPEC.n_fft // 2}, from the corpus]")
    ] = None,
    hop_length: Annotated[int | None, Flag(help="Samples between frames. [default: n_fft / 4]")] = None,
    n_mels: Annotated[
        int | None, Flag(help=f"Frequency bands; more are finer and slower. [default: {DEFAULT_N_MELS}, "
                            f"{STROKES_N_MELS} for strokes, {STEADY_N_MELS} for steady sounds]")
    ] = None,
    floor_db: Annotated[float | None, Flag(help="Level taken for silence, dB. [default: from the corpus]")] = None,
    size: Annotated[str | None, Flag(help=f"small, base or large. [default: {DEFAULT_SIZE}]")] = None,
    pitch_copies: Annotated[
        int | None, Flag(help="Copies of each recording at other pitches: 0, 2, 4 or 12. [default: by length]")
    ] = None,
    device: Annotated[str, Flag(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, Flag(help="auto, fp32 or bf16.")] = "auto",
    threads: Annotated[int | None, Flag(help="CPU threads. [default: all cores]")] = None,
    as_json: Annotated[bool, Flag("--json", help="Print one JSON object about the run when it ends.")] = False,
) -> int:
    """Train a model on a folder of recordings. Ctrl-C saves and stops; --resume goes on.

    Look at the corpus first with: distill-train inspect CORPUS

    Example: distill-train bells/ -o runs/bells --minutes 10
    """
    options = Options(
        corpus=corpus, run=run, minutes=minutes, steps=steps, resume=resume, force=force, parent=parent,
        seed=seed, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, floor_db=floor_db,
        size=size, pitch_copies=pitch_copies, device=device, precision=precision,
    )
    _need("torch")
    _need("torchaudio")
    _set_threads(threads)
    from .progress import Progress
    from .session import summary
    from .session import train as run_training
    from .signals import Stopped, StopRequest

    progress = Progress(sys.stderr)
    again = f"distill-train {corpus} -o {run} --resume"
    with StopRequest() as stop:
        try:
            result = run_training(options, progress, stop)
        except Stopped as stopped:
            progress.note(f"{stopped}: stopped before there was a model to save; to start again, leave --resume out")
            return stopped.exit_code
        finally:
            progress.close()
    error = result.training_db if result.held_out_db is None else result.held_out_db
    kind = "training" if result.held_out_db is None else "held-out"
    done = f"{result.checkpoint.steps} steps, {kind} error {error:.2f} dB"
    if as_json:
        print(json.dumps(summary(result, run), allow_nan=False))
    if result.signal is not None:
        progress.note(f"stopped and saved: {done}; to go on: {again}")
        return 128 + result.signal
    progress.note(f"saved {result.path}: {done}; next: distill-export {run} -o BUNDLE")
    return 0


@inspector.command()
def inspect(
    corpus: CorpusArgument,
    as_json: Annotated[bool, Flag("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Report what a corpus holds, what would be left out and why. Trains nothing, writes nothing.

    Example: distill-train inspect bells/
    """
    from .corpus import scan
    from .progress import Progress
    from .report import as_object, as_text

    progress = Progress(sys.stderr)
    try:
        found = scan(corpus, tick=lambda done, total: progress.status(f"reading {done}/{total}", done / total))
    finally:
        progress.close()
    print(json.dumps(as_object(found), allow_nan=False) if as_json else as_text(found))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the console script. `inspect` as the first word chooses the inspector (a folder: ./inspect)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    words = [index for index, word in enumerate(given) if word != "--json"]
    if words and given[words[0]] == "inspect":
        del given[words[0]]
        door.run(inspector, "distill-train inspect", given)
    door.run(trainer, "distill-train", given)


def _need(package: str) -> None:
    from importlib.util import find_spec

    try:
        present = find_spec(package) is not None
    except ValueError:  # a module set to None in sys.modules
        present = False
    if not present:
        raise MissingExtra(package, "train")


def _set_threads(threads: int | None) -> None:
    # OpenMP's threads spin while they wait for each other. On a machine with other work that made a step up to nine
    # times slower; sleeping instead costs 7 % on an idle one. Read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    if threads is not None:
        if threads < 1:
            raise InvalidValue(f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
