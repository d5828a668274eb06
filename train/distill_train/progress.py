"""What the user sees on stderr: one line that rewrites itself on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

_TERMINAL_INTERVAL = 0.1  # seconds between redraws
_LOG_INTERVAL = 10.0  # seconds between lines


class Progress:
    """Notes, which stay, and a status, which changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and "NO_COLOR" not in os.environ
        self._last = time.monotonic() if not self._live else 0.0
        self._drawn = False

    def note(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def status(self, text: str, share: float | None = None) -> None:
        """What is going on now; `share` 0..1 draws a bar. Called as often as one likes."""
        now = time.monotonic()
        if now - self._last < (_TERMINAL_INTERVAL if self._live else _LOG_INTERVAL):
            return
        self._last = now
        if not self._live:
            print(text, file=self._stream, flush=True)
            return
        bar = "" if share is None else self._bar(share) + " "
        room = shutil.get_terminal_size().columns - 1 - (0 if share is None else _BAR + 1)
        self._stream.write(f"\r\x1b[K{bar}{text[: max(0, room)]}")
        self._stream.flush()
        self._drawn = True

    def close(self) -> None:
        """Leave the terminal with an empty line."""
        self._clear()

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def _bar(self, share: float) -> str:
        full = round(min(1.0, max(0.0, share)) * _BAR)
        bar = "━" * full + "─" * (_BAR - full) if self._unicode() else "#" * full + "." * (_BAR - full)
        return f"\x1b[36m{bar}\x1b[0m" if self._colour else bar

    def _unicode(self) -> bool:
        return (self._stream.encoding or "").lower().replace("-", "") == "utf8"


_BAR = 20  # characters


def clock(seconds: float) -> str:
    """75.4 -> '1:15'."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
