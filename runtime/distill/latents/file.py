"""A latent vector out of a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import FileError, InvalidValue, NotFound

_LARGEST = 256 << 20  # bytes


def read_latent(path: str | os.PathLike[str]) -> tuple[float, ...]:
    """The latent in a file: .json, a list of numbers or {"latent": [...]}; .npz, `latent` [dim] or `latents`
    [dim, frames], as `distill encode` writes it, of which the frame nearest to the median is taken.

    Raises NotFound, FileError (cannot be read), InvalidValue (holds no latent). Whether its size is that of a model is
    checked where there is a model.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidValue(f"{file}: too large to hold a latent")
        content = _from_json(file) if file.suffix.lower() == ".json" else _from_npz(file)
        values = np.asarray(content)
    except FileNotFoundError:
        raise NotFound(f"{file}: no such file") from None
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror or error})") from None
    except InvalidValue:
        raise
    except ValueError as error:
        raise InvalidValue(f"{file}: holds no latent ({error})") from None
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or values.size == 0 or not np.isfinite(values).all():
        raise InvalidValue(f"{file}: a latent must be finite numbers, [latent_dim] or [latent_dim, frames]; this is of "
                           f"type {values.dtype} and shape {values.shape}")
    if values.ndim == 2:
        apart = np.square(values - np.median(values, axis=1)[:, None]).sum(axis=0)
        values = values[:, int(np.argmin(apart))]
    return tuple(float(value) for value in values)


def _from_json(file: Path) -> Any:
    content = json.loads(file.read_bytes())
    if isinstance(content, dict):
        if "latent" not in content:
            raise InvalidValue(f'{file}: must be a list of numbers, or an object with "latent"')
        content = content["latent"]
    return content


def _from_npz(file: Path) -> Any:
    if file.suffix.lower() != ".npz":
        raise InvalidValue(f"{file}: a latent is read from .json or .npz")
    try:
        with np.load(file, allow_pickle=False) as archive:
            for key in ("latent", "latents"):
                if key in archive.files:
                    return archive[key]
            names = ", ".join(archive.files) or "nothing"
    except OSError:
        raise
    except Exception as error:  # zipfile, numpy and zlib raise many kinds
        raise InvalidValue(f"{file}: holds no latent ({error})") from None
    raise InvalidValue(f"{file}: must hold `latent` or `latents`; it has {names}")
