"""What is said on stderr while sound is made: one line that rewrites itself, on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time

_FIRST, _EVERY = 0.7, 0.1  # seconds until the first drawing, and between drawings
_BAR = 20  # characters


def tell(text: str) -> None:
    """A line on stderr, if there is one. (`print` to a stream that is None would go to stdout, into the sound.)"""
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")  # in one piece, whichever thread it comes from
        sys.stderr.flush()


class Progress:
    """How much of `total` seconds of sound has been made, and when the rest will be. Threads may share it.

    Silent for what is done in a moment, where stderr is no terminal, and where there is no end (`total` None).
    NO_COLOR is honoured.
    """

    def __init__(self, total: float | None) -> None:
        live = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._total = total if live else None
        self._colour = "NO_COLOR" not in os.environ
        self._done, self._drawn = 0.0, False
        self._begun = time.monotonic()
        self._next = self._begun + _FIRST
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """So much more has been made."""
        if self._total is None:
            return
        with self._lock:
            self._done += seconds
            now = time.monotonic()
            if now >= self._next:
                self._next = now + _EVERY
                self._draw(now - self._begun)

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            tell(text)

    def close(self) -> None:
        """Leave an empty line."""
        with self._lock:
            self._clear()
            self._total = None

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            self._drawn = False

    def _draw(self, spent: float) -> None:
        assert self._total is not None
        share = min(1.0, self._done / self._total)
        left = spent * (1 - share) / max(share, 1e-6)
        text = (f"{100 * share:3.0f} %  {clock(self._done)} of {clock(self._total)}  "
                f"{self._done / spent:.0f} times real time  {clock(left)} left")
        full = round(share * _BAR)
        utf8 = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
        bar = "━" * full + "─" * (_BAR - full) if utf8 else "#" * full + "." * (_BAR - full)
        text = text[:max(0, shutil.get_terminal_size().columns - _BAR - 3)]
        if self._colour:
            bar = f"\x1b[36m{bar}\x1b[0m"
        sys.stderr.write(f"\r\x1b[K{bar} {text}")
        sys.stderr.flush()
        self._drawn = True


def clock(seconds: float) -> str:
    """75.4 -> '1:15'."""
    minutes, whole = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
