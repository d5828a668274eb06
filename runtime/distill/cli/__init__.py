"""The `distill` command."""

from __future__ import annotations

import gc
import os
from typing import NoReturn

_OBJECTS = 100_000  # made before Python looks for unreachable ones; imports make half as many, and all of them stay


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the console script. Without `arguments` it takes the process's own, and the process is its own."""
    if arguments is None:
        _settle()
    from . import door
    from .commands import app

    door.run(app, "distill", arguments, at_once=arguments is None)


def _settle() -> None:
    """What must be set before anything large is imported, typer first.

    By default, Python looks for garbage a hundred times during the imports, and finds none; and numpy's BLAS starts a
    thread on every core, which spin after each product, and the products here are too small to share.
    """
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
