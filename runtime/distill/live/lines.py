"""Control lines from a file descriptor, most of all standard input.

A thread reads, the audio thread never does. The descriptor is read as it is, without Python's buffers: a thread that
waits in a buffered read holds a lock that the interpreter wants when it ends.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from distill.errors import DistillError

from .changes import LONGEST_LINE
from .controls import Controls

Tell = Callable[[str], None]


def follow_lines(descriptor: int, controls: Controls, tell: Tell) -> threading.Thread:
    """Obey each line that comes, until the writer closes; `tell` gets one line for each that cannot be obeyed.

    The thread is a daemon: it does not keep the program alive.
    """
    thread = threading.Thread(target=_follow, args=(descriptor, controls, tell), name="distill-control", daemon=True)
    thread.start()
    return thread


def _follow(descriptor: int, controls: Controls, tell: Tell) -> None:
    waiting = b""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:
            return
        *lines, waiting = (waiting + data).split(b"\n")
        if not data and waiting:  # the last line may lack its end
            lines, waiting = [*lines, waiting], b""
        if len(waiting) > LONGEST_LINE:
            tell(f"control line of more than {LONGEST_LINE} bytes without an end; left out")
            waiting = b""
        for line in lines:
            obey(line.decode("utf-8", "replace"), controls, tell)
        if not data:
            return


def obey(line: str, controls: Controls, tell: Tell) -> None:
    """One control line; an error is told and changes nothing."""
    try:
        controls.send(line)
    except DistillError as error:
        tell(str(error))
