"""Sound that can be steered while it is made: by method, by lines on standard input, by OSC."""

from .changes import Change, parse_line
from .controls import Controls, Targets
from .live import Live

__all__ = ["Change", "Controls", "Live", "Targets", "parse_line"]
