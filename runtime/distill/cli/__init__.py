"""The `distill` command."""

from __future__ import annotations

import gc
from typing import NoReturn

_OBJECTS = 100_000  # made before Python looks for unreachable ones; imports make half as many, and all of them stay


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the console script. Without `arguments` it takes the process's own, and the process is its own.

    Then it looks for garbage seldom: by default, Python does so a hundred times while modules are imported, and finds
    none. So typer is imported here, and not before.
    """
    if arguments is None:
        gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    from . import door
    from .commands import app

    door.run(app, "distill", arguments, at_once=arguments is None)
