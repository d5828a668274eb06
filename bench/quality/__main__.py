"""Measure how much of a recording survives, and write docs/quality.md.

    python -m bench.quality                                  the demo corpus, round trip only; into build/quality
    python -m bench.quality tonal=harp/ tonal=piano/ drums=kit/ --about drums="an acoustic kit, CC0" --docs docs
    python -m bench.quality drums=kit/ --models minutes=1    also train, export and measure a model of each category
    python -m bench.quality drums=kit/ --skip-round-trip --models minutes=1 --models minutes=10 --public-vae --rave
    python -m bench.quality drums=kit/ --skip-round-trip --bundle runs/kit bundles/kit

A category may be given several times, for several folders. Figures are kept beside the page, in quality.json; a run
replaces what it measures and leaves the rest, so the page can be put together from several runs: ours can be trained
anew while the figures of the others stay.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from distill.errors import DistillError

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, and turn an error of ours into one line and its exit code."""
    options = _parser().parse_args(arguments)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy and torch are loaded
        os.environ.setdefault(variable, "1")
    from .run import run  # not before: it loads numpy

    try:
        run(options)
    except DistillError as error:
        print(f"bench.quality: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("categories", nargs="*", metavar="NAME=FOLDER", help="recordings by category [default: tonal=corpus/demo]")
    add("--about", action="append", default=[], metavar="NAME=TEXT", help="what they are and their licence")
    add("--files", type=_count, default=8, help="recordings of each category, spread over it [default: 8]")
    add("--seconds", type=float, default=2.5, help="of each recording [default: 2.5]")
    add("--no-pitch", action="store_true", help="leave torchcrepe out: most of the time goes there")
    add("--shapes", action="store_true", help="also other numbers of bands and another window")
    add("--skip-round-trip", action="store_true", help="keep the round trip of an earlier run")
    add("--models", action="append", default=[], metavar="minutes=M",
        help="train, export and measure a model of each category (or steps=N); may be given several times")
    add("--bundle", nargs=2, action="append", default=[], type=Path, metavar=("RUN", "BUNDLE"),
        help="measure a model that exists, at the budget it was trained for; its corpus must be among the folders")
    add("--public-vae", action="store_true", help="also a VAE on the public scheme, trained for as long")
    add("--rave", action="store_true", help="also RAVE v2, trained for as long")
    add("--peers-only", action="store_true", help="train none of ours with --models; what is known of it stays")
    add("--rave-python", type=Path, metavar="PYTHON",
        help="a Python that has acids-rave and torch [default: one made in build/quality]")
    add("--threads", type=_count, default=2,
        help="CPU threads of our training; others get its minutes as many times, of processor time [default: 2]")
    add("--size", default="base", help="--size of our training [default: base]")
    add("--docs", type=Path, default=ROOT / "build" / "quality", help="folder for quality.md and its pictures")
    add("--readme", type=Path, help="put the short table between its quality markers")
    add("--results", type=Path, metavar="FILE", help="where figures are kept [default: quality.json beside the page]")
    add("--fresh", action="store_true", help="forget the figures of earlier runs")
    return parser


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not at least 1")
    return number


if __name__ == "__main__":
    main()
