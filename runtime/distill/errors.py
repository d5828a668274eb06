"""The error tree. Libraries raise these; the commands turn each into one line on stderr and its exit code.

    DistillError                    exit
    ├── InvalidValue  (ValueError)     2   a value that is not allowed; the message says what is
    │   └── MissingExtra (ImportError) 2   an optional dependency is absent; the message has the pip line
    ├── NotFound  (FileNotFoundError)  3   a model, preset or input path that does not exist
    ├── BundleError   (ValueError)     4   a bundle or checkpoint that is broken, foreign or too old
    ├── DeviceError   (RuntimeError)   5   an execution provider that cannot be had
    ├── NumericError  (ArithmeticError) 6  non-finite numbers, or a failed parity proof
    └── FileError     (OSError)        7   a file that cannot be read or written
"""

from __future__ import annotations

INCOMPATIBLE = "Incompatible model format. Please retrain with current version."


class DistillError(Exception):
    """Base of every error that distill raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:  # one line, whatever went into it
        return " ".join(str(part) for part in self.args).replace("\n", " ")


class InvalidValue(DistillError, ValueError):
    exit_code = 2


class MissingExtra(InvalidValue, ImportError):
    """Raised where an extra is needed: `MissingExtra("torch", "train")`."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'distill-audio[{extra}]'")


class NotFound(DistillError, FileNotFoundError):
    exit_code = 3


class BundleError(DistillError, ValueError):
    exit_code = 4


class DeviceError(DistillError, RuntimeError):
    exit_code = 5


class NumericError(DistillError, ArithmeticError):
    exit_code = 6


class FileError(DistillError, OSError):
    exit_code = 7
