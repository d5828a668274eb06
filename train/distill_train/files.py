"""Files that appear whole or not at all: write beside the target, flush to the disk, then rename over it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from distill.errors import FileError

PARTIAL_SUFFIX = ".partial"
_UMASK = os.umask(0o022)  # can only be read by setting it; done once, before there are threads
os.umask(_UMASK)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a stream that becomes `path` when the block ends well, and vanishes when it does not.

    Raises FileError for anything that the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL_SUFFIX, dir=path.parent)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes the file private; a finished one gets the permissions any new file would have.
        os.chmod(partial, 0o666 & ~_UMASK)
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            os.unlink(partial)


def remove_partials(folder: Path) -> None:
    """Delete what a killed process may have left behind in `folder`."""
    for partial in folder.glob(f".*{PARTIAL_SUFFIX}"):
        with suppress(OSError):
            partial.unlink()

