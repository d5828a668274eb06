"""Measure generated sound beside the corpus it was learnt from.

    python -m bench.generation bells=corpus/bells                  figures of one model, what is wanted beside them
    python -m bench.generation bells=bells/ drums=kit/ --sweep     more settings; several models
    python -m bench.generation bells=bells/ --docs docs            also write docs/generation.md's tables

MODEL=CORPUS is what distill.load takes, and the folder of recordings. What is measured is in judge.py and seams.py.
Figures are kept in generation.json; a run replaces the models that it measures and leaves the rest.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from distill.errors import DistillError, InvalidValue


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, and turn an error of ours into one line and its exit code."""
    options = _parser().parse_args(arguments)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy is loaded
        os.environ.setdefault(variable, "1")
    from .run import run  # not before: it loads numpy

    try:
        pairs = [_pair(word) for word in options.models]
        run(pairs, options.minutes, options.sweep, options.folder, options.docs)
    except DistillError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.generation", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL=CORPUS")
    parser.add_argument("--minutes", type=float, default=2.0, help="of sound for each line")
    parser.add_argument("--sweep", action="store_true", help="more settings of wander and jumps")
    parser.add_argument("--folder", type=Path, default=Path("build/generation"), help="where generation.json lies")
    parser.add_argument("--docs", type=Path, help="folder whose generation.md gets the tables and which holds the JSON")
    return parser


def _pair(word: str) -> tuple[str, Path]:
    model, equals, corpus = word.partition("=")
    if not equals or not model or not corpus:
        raise InvalidValue(f"{word!r} names no model and corpus; write MODEL=CORPUS, such as vibraphone=corpus/demo")
    return model, Path(corpus)


if __name__ == "__main__":
    main()
