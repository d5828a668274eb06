"""Named sets: the models of a blend, their weights and the mode, kept as one JSON file in a folder of the user.

    {"schema": "distill.blend", "schema_version": "1.0.0", "mode": "spectral",
     "slots": [{"model": "/home/me/bells", "model_id": "cfdbfe83209b28dc", "label": "bells", "weight": [0.7],
                "enabled": true}, ...]}

A model is remembered by where it was (a path, or a name in the model folder) and by its id, so that another model that
stands in the same place is noticed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from distill.errors import FileError, InvalidValue, NotFound
from distill.files import check_name, write_whole
from distill.model import Model
from distill.sidecar import Part, strict_json
from distill.suggest import did_you_mean

from .blended import Blend, BlendMode, blend
from .slot import ModelSlot
from .weights import Curve

SCHEMA = "distill.blend"
SCHEMA_VERSION = "1.0.0"


class SavedSlot(Part, frozen=True):
    model: Annotated[str, Meta(min_length=1, description="a path, or a name in the model folder")]
    model_id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    label: str
    weight: Annotated[list[float], Meta(min_length=1)]
    enabled: bool


class SavedBlend(Part, frozen=True):
    schema: Literal["distill.blend"]
    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+\.\d+$")]
    mode: BlendMode
    slots: Annotated[list[SavedSlot], Meta(min_length=1)]


def blends_folder() -> Path:
    """`$DISTILL_BLENDS`, else `blends` in distill's folder in the platform's data folder."""
    chosen = os.environ.get("DISTILL_BLENDS")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "distill" / "blends"


def saved_blends() -> list[str]:
    """Names of the sets there are."""
    folder = blends_folder()
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def save_blend(name: str, slots: Sequence[ModelSlot], mode: BlendMode, places: Sequence[str] | None = None, *,
               force: bool = False) -> Path:
    """Keep a set, whole or not at all. Returns its file.

    places: what each model is found by again; by default where it was loaded from. A path is made absolute.
    Raises InvalidValue for a name that is none, or models that do not blend; FileError where it cannot be written, or
    exists and `force` is not set.
    """
    blend(slots, mode)
    path = _path(name)
    found_by = [str(slot.model.path) for slot in slots] if places is None else list(places)
    saved = SavedBlend(schema="distill.blend", schema_version=SCHEMA_VERSION, mode=mode, slots=[
        SavedSlot(model=_lasting(place), model_id=slot.model.sidecar.model.id, label=slot.label,
                  weight=list(slot.curve), enabled=slot.enabled)
        for slot, place in zip(slots, found_by, strict=True)])
    if path.exists() and not force:
        raise FileError(f"{path} exists; --force overwrites it")
    write_whole(path, msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n")
    return path


def read_blend(name: str) -> SavedBlend:
    """A set as it was kept. Raises NotFound, FileError where it is broken."""
    path = _path(name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        known = saved_blends()
        raise NotFound(f"no blend {name!r} in {path.parent}{did_you_mean(name, known)} "
                       f"(known: {', '.join(known) or 'none'})") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return msgspec.convert(strict_json(data, str(path), FileError), SavedBlend)
    except msgspec.ValidationError as error:
        raise FileError(f"{path}: {error}") from None


def load_blend(name: str, load: Callable[[str], Model]) -> Blend:
    """The blend that a set describes; `load` opens each model.

    Raises as `read_blend` and `load` do, and InvalidValue where another model stands in the place of one.
    """
    saved = read_blend(name)
    slots = []
    for slot in saved.slots:
        model = load(slot.model)
        if model.sidecar.model.id != slot.model_id:
            raise InvalidValue(f"blend {name!r}: {slot.model} is not the model that was saved (its id is "
                               f"{model.sidecar.model.id}, not {slot.model_id}); save the blend again")
        weight: Curve = tuple(slot.weight)
        slots.append(ModelSlot(model, weight, slot.enabled, slot.label))
    return blend(slots, saved.mode)


def _path(name: str) -> Path:
    return blends_folder() / f"{check_name(name, 'a blend')}.json"


def _lasting(place: str) -> str:
    """A path that works from any folder; a name in the model folder as it is."""
    path = Path(place)
    return str(path.absolute()) if path.exists() else place
