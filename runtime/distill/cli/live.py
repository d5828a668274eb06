"""`--control` and `--osc-port`: a sound on standard output that is steered while it plays."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from distill.errors import InvalidValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distill.blending import Blend
    from distill.model import Model

    Array = NDArray[np.float32]

_PIPE_BYTES = 4096  # may wait for the player; Linux's usual 64 KiB are a third of a second that we cannot take back
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, where the fcntl module does not name it


class LiveFlags(Struct, frozen=True):
    """What was asked for."""

    control: str | None
    osc_port: int | None
    chunk: int | None

    @property
    def wanted(self) -> bool:
        return self.control is not None or self.osc_port is not None

    def check(self, streaming: bool) -> None:
        """Raises InvalidValue, or MissingExtra, before anything is loaded."""
        if self.control not in (None, "stdin"):
            raise InvalidValue(f"control is {self.control!r}; it must be stdin")
        if self.osc_port is not None and not 1 <= self.osc_port <= 65_535:
            raise InvalidValue(f"OSC port is {self.osc_port}; it must be from 1 to 65535")
        if self.chunk is not None and not self.wanted:
            raise InvalidValue("--live-chunk goes with --control or --osc-port")
        if self.wanted and not streaming:
            raise InvalidValue(f"{'--osc-port' if self.control is None else '--control'} needs -o - or --play; "
                               "a file is made faster than anyone can steer")
        if self.control == "stdin" and (sys.stdin is None or sys.stdin.closed):
            raise InvalidValue("--control stdin: standard input is closed")

    def pieces(self, voice: Model | Blend, seconds: float | None, seed: int, knobs: dict[str, Any]) -> Iterator[Array]:
        """The sound, obeying whoever was asked for until it ends. Raises what `distill.Live` raises, now."""
        from distill.live import Live
        from distill.live.lines import follow_lines

        size = {} if self.chunk is None else {"chunk": self.chunk}
        live = Live(voice, seed=seed, **size, **knobs)
        pieces = live.pieces(seconds)
        listeners = contextlib.ExitStack()
        if self.osc_port is not None:
            from distill.live.osc import HOST, OscListener

            port = listeners.enter_context(OscListener(self.osc_port, live.controls, tell)).port
            tell(f"OSC on {HOST}:{port}")
        if self.control == "stdin":
            follow_lines(sys.stdin.fileno(), live.controls, tell)
        _small_pipe()
        return _until_the_end(pieces, listeners)


def _until_the_end(pieces: Iterator[Array], listeners: contextlib.ExitStack) -> Iterator[Array]:
    with listeners:
        yield from pieces


def tell(text: str) -> None:
    """One line on standard error, in one piece, whichever thread it comes from."""
    sys.stderr.write(f"distill: {' '.join(text.split())}\n")
    sys.stderr.flush()


def _small_pipe() -> None:
    """Let little sound wait in the pipe, where the system knows how: what waits there cannot follow the controls."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import fcntl

        fcntl.fcntl(sys.stdout.fileno(), getattr(fcntl, "F_SETPIPE_SZ", _SET_PIPE_SIZE), _PIPE_BYTES)
