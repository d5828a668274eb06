"""The door of every command: run it, turn its error into one line on stderr and its exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer

from distill.errors import DistillError, FileError


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that temporary files are cleaned up on the way out."""


def run(app: typer.Typer, program: str, arguments: list[str] | None = None) -> NoReturn:
    """Run a typer app and exit. The exit codes are those of `distill.errors`, and 130 or 143 for signals."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_code(lambda: app(arguments, prog_name=program, standalone_mode=False), program))


def _code(command: Callable[[], Any], program: str) -> int:
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Terminated:
        return 143
    except DistillError as error:
        return _say(program, str(error), error.exit_code)
    except MemoryError:
        return _say(program, "out of memory; ask for less at a time", FileError.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # click's usage errors, wherever this version of typer keeps them
            return _say(program, f"{error.format_message()} (see {program} --help)", 2)
        if os.environ.get("DISTILL_TRACEBACK"):
            raise
        return _say(program, f"internal error, please report it: {type(error).__name__}: {error} "
                             "(DISTILL_TRACEBACK=1 shows where)", 1)


def _say(program: str, message: str, code: int) -> int:
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def reader_left() -> None:
    """The reader of our standard output has gone: nobody is left to write to, and Python must not try at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
