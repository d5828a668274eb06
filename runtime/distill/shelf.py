"""The model library: a folder of bundles. There is no other database.

What is added is proved first: every file is the one its sidecar describes, the graph loads, and the golden latents
sound here as they did where the model was exported.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from .bundle import (
    BUILT_IN,
    DECODER,
    SIDECAR,
    Bundle,
    LoneDecoder,
    built_in_folder,
    installed,
    models_folder,
    open_bundle,
)
from .errors import DistillError, FileError, InvalidValue, NotFound
from .files import check_name, remove_whole, whole_folder, write_whole
from .sidecar import FileEntry, Sidecar, Variant, dump
from .suggest import did_you_mean

_DTYPES: dict[Variant, Literal["float32", "float16", "int8"]] = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_BESIDE = ("README.md", "LICENSE")  # not in the sidecar, but part of a bundle


@dataclass(frozen=True)
class Entry:
    """A model at hand. Where its bundle is broken, `sidecar` is None and `error` says why."""

    name: str
    path: Path
    built_in: bool
    sidecar: Sidecar | None
    error: str | None

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return 0 if self.sidecar is None else sum(file.bytes for file in self.sidecar.files)


def entries() -> Iterator[Entry]:
    """All models at hand, by name."""
    for name, path in sorted(installed().items()):
        built_in = path.parent == built_in_folder()
        try:
            yield Entry(name, path, built_in, open_bundle(path).sidecar, None)
        except DistillError as error:
            yield Entry(name, path, built_in, None, str(error))


def entry(name: str) -> Entry:
    """The model of that name. Raises NotFound with what there is."""
    known = {found.name: found for found in entries()}
    if name not in known:
        raise NotFound(f"no model {name!r} in {models_folder()}{did_you_mean(name, known)}; there are: "
                       f"{', '.join(known) or 'none'}")
    return known[name]


def by_id(model_id: str) -> Path | None:
    """Where the model with these weights lies, if it is at hand."""
    return next((e.path for e in entries() if e.sidecar is not None and e.sidecar.model.id == model_id), None)


def search(text: str) -> list[Entry]:
    """Models that have every word of `text` somewhere: name, id, licence, sliders and their recordings, model card."""
    def fits(said: str) -> bool:
        return all(word in said for word in text.casefold().split())

    return [e for e in entries() if fits(_said(e))]


def add(source: str | Path, name: str | None = None, *, force: bool = False) -> Entry:
    """Copy a bundle, or a lone decoder.onnx, into the models folder, after it was proved to be whole.

    Raises NotFound, BundleError; InvalidValue for a name that cannot be; FileError where the name is taken.
    """
    from .golden import replay
    from .model import Model

    bundle = open_bundle(source)
    chosen = _name(bundle, name)
    if (built_in_folder() / chosen).is_dir() or chosen == BUILT_IN:
        raise InvalidValue(f"{chosen} is the name of a built-in model; --name gives this one another")
    target = models_folder() / chosen
    if target.exists() and not force:
        raise FileError(f"{target} exists; --name gives the model another name, --force replaces what is there")
    if target.exists() and not (target / SIDECAR).is_file():
        raise FileError(f"{target} exists and is no model; --name gives the model another name")
    if target.exists() and target.samefile(bundle.path):
        raise InvalidValue(f"{bundle.path} is the model {chosen} already")
    for file in bundle.sidecar.files:
        bundle.read(file.role)
    model = Model(bundle, device="cpu")
    if bundle.sidecar.file("golden") is not None:
        replay(model)
    with whole_folder(target) as work:
        _copy(bundle, model.variant, work)
        Model(open_bundle(work), device="cpu")
    return entry(chosen)


def removable(name: str) -> Entry:
    """The model of that name, if it may go. Raises NotFound, and InvalidValue for a built-in one."""
    found = entry(name)
    if found.built_in:
        raise InvalidValue(f"{name} is built in and stays; only models in {models_folder()} can be removed")
    return found


def remove(name: str) -> Entry:
    """Delete a model from the models folder. Raises as `removable`, and FileError."""
    found = removable(name)
    remove_whole(found.path)
    return found


def _name(bundle: Bundle, name: str | None) -> str:
    if name is not None:
        return check_name(name, "a model")
    try:
        return check_name(bundle.sidecar.model.name, "the model")
    except InvalidValue as error:
        raise InvalidValue(f"{error}; --name gives it another") from None


def _copy(bundle: Bundle, variant: Variant, work: Path) -> None:
    """The files that the sidecar names, the sidecar, and what is meant for people."""
    try:
        if isinstance(bundle, LoneDecoder):
            data = bundle.read("decoder")
            file = FileEntry(role="decoder", path=DECODER, dtype=_DTYPES[variant],
                             sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            write_whole(work / DECODER, data)
            write_whole(work / SIDECAR, dump(replace(bundle.sidecar, files=[file])))
            return
        for file in bundle.sidecar.files:
            write_whole(work / file.path, bundle.read(file.role))
        shutil.copyfile(bundle.path / SIDECAR, work / SIDECAR)
        for extra in _BESIDE:
            if (bundle.path / extra).is_file():
                shutil.copyfile(bundle.path / extra, work / extra)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{bundle.path}: cannot be copied ({error.strerror or error})") from None


def _said(e: Entry) -> str:
    """All that is known about a model, as text to look in."""
    parts = [e.name]
    if e.sidecar is not None:
        s = e.sidecar
        parts += [s.model.name, s.model.id, s.license, f"{s.audio.sample_rate_hz}"]
        parts += [text for c in s.controls for text in (c.name, c.label, c.low_file, c.high_file)]
    try:
        parts.append((e.path / "README.md").read_text("utf-8", "replace"))
    except OSError:
        pass
    return " ".join(parts).casefold()
