"""Small files and folders that appear whole or not at all, and names that can safely be theirs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FileError, InvalidValue

# Letters of any script and digits; inside also space and . _ + ( ) -. No dot or space at the end: Windows drops them.
_NAME = re.compile(r"[^\W_](?:[\w .+()-]{0,62}[\w+()-])?")
_WINDOWS_KEEPS = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))}
_UMASK = os.umask(0o022)  # can only be read by setting it; once, before there are threads
os.umask(_UMASK)


def check_name(name: str, what: str) -> str:
    """`name`, if it can be that of a file or folder anywhere. Raises InvalidValue; `what` says what it names."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.split(".")[0].casefold() in _WINDOWS_KEEPS:
        raise InvalidValue(f"{what} is called {name!r}; a name begins with a letter or digit and goes on with letters, "
                           "digits, spaces and . _ + ( ) -, at most 64 in all")
    return name


def write_whole(path: Path, data: bytes) -> None:
    """Write beside the place, flush to the disk, rename over it; makes the folder. Raises FileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_UMASK)  # mkstemp's files are private
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error})") from None


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    A folder that stands at `path` is replaced, and stays until the new one is complete. Raises FileError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            yield work
            for file in work.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as stream:
                        os.fsync(stream.fileno())
            work.chmod(0o777 & ~_UMASK)
            _put_in_place(work, path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: cannot be written ({error.strerror or error})") from None


def remove_whole(path: Path) -> None:
    """Delete a folder so that it is either there or gone; of a link only the link. Raises FileError."""
    try:
        if path.is_symlink():
            path.unlink()
            return
        doomed = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            os.replace(path, doomed / path.name)
        finally:
            shutil.rmtree(doomed, ignore_errors=True)
    except OSError as error:
        raise FileError(f"{path}: cannot be removed ({error.strerror or error})") from None


def _put_in_place(work: Path, path: Path) -> None:
    """Rename the finished folder; an older one stays aside until the new one stands in its place."""
    if not path.exists():
        os.replace(work, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    os.replace(path, aside / path.name)
    try:
        os.replace(work, path)
    except OSError:
        os.replace(aside / path.name, path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
