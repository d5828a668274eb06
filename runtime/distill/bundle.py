"""Finding, opening and verifying a bundle: a folder, a lone `decoder.onnx`, or a name."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .errors import INCOMPATIBLE, BundleError, FileError, InvalidValue, NotFound
from .npz import stored_arrays
from .sidecar import Role, Sidecar, parse

DECODER = "decoder.onnx"
SIDECAR = "decoder.onnx.json"
BUILT_IN = "vibraphone"
EMBEDDED_KEY = "distill.sidecar"
VARIANT_KEY = "distill.variant"
_LARGEST = 2 << 30  # bytes; ONNX's own limit for one file


class Bundle(Struct, frozen=True):
    """A sidecar and where its files lie. Files are read and checked against the sidecar when asked for."""

    path: Path
    sidecar: Sidecar

    def read(self, role: Role) -> bytes:
        """The bytes of a file, verified by size and SHA-256. Raises BundleError where they differ."""
        entry = self.sidecar.file(role)
        if entry is None:
            have = ", ".join(e.role for e in self.sidecar.files) or "none"
            raise BundleError(f"{self.path}: the bundle has no {role} (it has: {have})")
        data = _read(self.path / entry.path)
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{self.path / entry.path}: not the file that the sidecar describes "
                              f"(damaged, or from another model)")
        return data

    def arrays(self, role: Role) -> dict[str, NDArray[Any]]:
        """The arrays of an .npz file, numbers and names only. Raises BundleError for anything else."""
        entry = self.sidecar.file(role)
        found = None if entry is None else stored_arrays(self.path / entry.path, entry.sha256)
        if found is not None:
            return found
        try:
            with np.load(io.BytesIO(self.read(role)), allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except BundleError:
            raise
        except Exception as error:  # zipfile, numpy and zlib raise many kinds
            raise BundleError(f"{self.path}: {role} cannot be read ({error})") from None


class LoneDecoder(Bundle, frozen=True):
    """A `decoder.onnx` away from its folder; its sidecar travels inside it, all other files are absent."""

    def read(self, role: Role) -> bytes:
        if role == "decoder":
            return _read(self.path)
        return super().read(role)


def open_bundle(model: str | os.PathLike[str] | None = None) -> Bundle:
    """Open MODEL: a folder, a `.onnx` file, a name in `models_folder()`, or a built-in name (None: the default one).

    Raises NotFound where there is none, BundleError where it is not a valid bundle.
    """
    path = find(model)
    if path.is_dir():
        sidecar_path = path / SIDECAR
        if not sidecar_path.is_file():
            raise BundleError(f"{path}: no {SIDECAR} in this folder. {INCOMPATIBLE}")
        return Bundle(path, parse(_read(sidecar_path), str(sidecar_path)))
    beside = path.with_name(path.name + ".json")
    if beside.is_file():
        bundle = Bundle(path.parent, parse(_read(beside), str(beside)))
        entry = bundle.sidecar.file("decoder")
        if entry is not None and entry.path == path.name:
            return bundle
    return LoneDecoder(path, _embedded(path))


def find(model: str | os.PathLike[str] | None) -> Path:
    """The folder or `.onnx` file that MODEL means. Raises NotFound and says where it looked."""
    if model is None:
        return built_in_folder() / BUILT_IN
    text = os.fspath(model)
    if not text:
        raise InvalidValue("the model's name is empty")
    path = Path(text)
    if path.exists():
        if path.is_dir() or path.suffix == ".onnx":
            return path
        raise BundleError(f"{path}: {INCOMPATIBLE}")
    if path.name == text:
        for folder in (models_folder(), built_in_folder()):
            if (folder / text).is_dir():
                return folder / text
    raise NotFound(f"no model {text!r}: it is no folder, no .onnx file, and no name in {models_folder()} "
                   f"(known: {', '.join(sorted(installed())) or 'none'})")


def installed() -> dict[str, Path]:
    """Names of the models at hand, the user's own before the built-in ones."""
    found: dict[str, Path] = {}
    for folder in (models_folder(), built_in_folder()):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if not path.name.startswith(".") and (path / SIDECAR).is_file():  # a dot: being copied
                    found.setdefault(path.name, path)
    return found


def models_folder() -> Path:
    """`$DISTILL_MODELS`, else the platform's data folder."""
    chosen = os.environ.get("DISTILL_MODELS")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "distill" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "distill" / "models"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "distill" / "models"


def built_in_folder() -> Path:
    """Where the models lie that come with the package."""
    return Path(__file__).parent / "models"


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise BundleError(f"{path}: larger than {_LARGEST >> 30} GiB")
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: missing from the bundle") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None


def _embedded(path: Path) -> Sidecar:
    from .engine import Engine  # here, because only a lone graph must be loaded to be described

    metadata = Engine(_read(path), str(path)).metadata
    if EMBEDDED_KEY not in metadata:
        raise BundleError(f"{path}: {INCOMPATIBLE}")
    return parse(metadata[EMBEDDED_KEY], f"{path} ({EMBEDDED_KEY})")
