"""The door of every command: run it, turn its error into one line on stderr and its exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer

from distill.errors import DistillError, FileError

_NO_ROOM = {errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that temporary files are cleaned up on the way out."""


def run(app: typer.Typer, program: str, arguments: list[str] | None = None, *, at_once: bool = False) -> NoReturn:
    """Run a typer app and exit. The exit codes are those of `distill.errors`, and 130 or 143 for signals.

    at_once: the process is ours alone, and ends without taking numpy and onnxruntime apart, which takes 0.1 s.
    """
    signal.signal(signal.SIGTERM, _terminate)
    code = _code(lambda: app(arguments, prog_name=program, standalone_mode=False), program)
    if at_once:
        if sys.stderr is not None:
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _code(command: Callable[[], Any], program: str) -> int:
    try:
        result = command()
        _flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        reader_left()
        return 0
    except SystemExit as leaving:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # so typer leaves when the reader of our output has gone
            return 0
        raise leaving
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Terminated:
        return 143
    except DistillError as error:
        return _say(program, str(error), error.exit_code)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return _unexpected(program, error)
        return _say(program, f"cannot write: {error.strerror}", FileError.exit_code)
    except MemoryError:
        return _say(program, "out of memory; ask for less at a time", FileError.exit_code)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a command without its command
            print(error.format_message(), file=sys.stderr)  # type: ignore[attr-defined]
            return 2
        if hasattr(error, "format_message"):  # click's usage errors, wherever this version of typer keeps them
            return _say(program, f"{error.format_message()} (see {program} --help)", 2)
        return _unexpected(program, error)


def _unexpected(program: str, error: Exception) -> int:
    if os.environ.get("DISTILL_TRACEBACK"):
        raise error
    return _say(program, f"internal error, please report it: {type(error).__name__}: {error} "
                         "(DISTILL_TRACEBACK=1 shows where)", 1)


def _say(program: str, message: str, code: int) -> int:
    if sys.stderr is not None:  # print would take standard output instead
        print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _flush() -> None:
    """What was printed must arrive; Python itself would try at exit, and only mumble if it cannot."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reader_left()
        raise FileError(f"standard output cannot be written ({error.strerror})") from None


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def reader_left() -> None:
    """The reader of our standard output has gone: nobody is left to write to, and Python must not try at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
