"""Latents of a recording in a file: an .npz of two entries, no pickles.

    latents   float32 [latent_dim, latent_frames]
    metadata  a text: JSON with the fields of `Metadata`
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .errors import FileError, InvalidValue, NotFound
from .files import write_whole
from .sidecar import Count, ModelId, Part, Positive, strict_json

Array = NDArray[np.float32]

SCHEMA: Literal["distill.latents"] = "distill.latents"
VERSION = "1.0.0"
_LARGEST = 4 << 30  # bytes of what is inside


class Metadata(Part, frozen=True):
    """What latents are of, and whose."""

    schema: Literal["distill.latents"]
    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+\.\d+$")]
    model: Annotated[str, Meta(description="name")]
    model_id: ModelId
    rate_hz: Annotated[float, Meta(gt=0, description="latent frames per second")]
    sample_rate_hz: Positive
    samples: Annotated[Count, Meta(description="of the recording at that rate; the latents reach a little further")]
    source: Annotated[str, Meta(description="name of the recording")]


def write_latents(path: str | os.PathLike[str], latents: Array, metadata: Metadata, *, force: bool = False) -> None:
    """Write the file, whole or not at all; the same latents give the same bytes. Raises FileError."""
    target = Path(path)
    if target.suffix.lower() != ".npz":
        raise InvalidValue(f"{target}: latents are kept as .npz")
    if target.exists() and not force:
        raise FileError(f"{target} exists; --force overwrites it")
    if not target.parent.is_dir():
        raise FileError(f"{target}: cannot be written (no folder {target.parent})")
    stream = io.BytesIO()
    text = np.array(json.dumps(msgspec.to_builtins(metadata), indent=1))
    np.savez_compressed(stream, allow_pickle=False, latents=latents.astype(np.float32), metadata=text)
    write_whole(target, stream.getvalue())


def read_latents(path: str | os.PathLike[str]) -> tuple[Array, Metadata]:
    """Latents [latent_dim, latent_frames] and what they are. Raises NotFound, or FileError that says what is wrong."""
    file = Path(path)
    if not file.exists():
        raise NotFound(f"{file}: no such file")
    try:
        with zipfile.ZipFile(file) as archive:
            inside = sum(entry.file_size for entry in archive.infolist())
        if inside > _LARGEST:
            raise FileError(f"{file}: larger than {_LARGEST >> 30} GiB")
        with np.load(file, allow_pickle=False) as arrays:
            names = set(arrays.files)
            if names != {"latents", "metadata"}:
                has = ", ".join(sorted(names)) or "nothing"
                raise FileError(f"{file}: must hold latents and metadata; it has {has}")
            latents, text = arrays["latents"], arrays["metadata"]
    except FileError:
        raise
    except Exception as error:  # zipfile, numpy and zlib raise many kinds
        raise FileError(f"{file}: holds no latents ({str(error) or type(error).__name__})") from None
    if text.ndim != 0 or text.dtype.kind != "U":
        raise FileError(f"{file}: metadata must be one text")
    try:
        metadata = msgspec.convert(strict_json(str(text), f"{file}: metadata", FileError), Metadata)
    except msgspec.ValidationError as error:
        raise FileError(f"{file}: metadata: {error}") from None
    if latents.dtype != np.float32 or latents.ndim != 2 or 0 in latents.shape or not np.isfinite(latents).all():
        raise FileError(f"{file}: latents must be finite float32 numbers, [latent_dim, latent_frames]; these are "
                        f"{latents.dtype} of shape {latents.shape}{'' if 0 in latents.shape else ' or not finite'}")
    return latents, metadata
