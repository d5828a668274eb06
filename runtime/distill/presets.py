"""Presets: knobs under a name, for one model. One JSON file each, in `presets_folder()/MODEL_ID/NAME.json`.

A slider belongs to one model's latents, so a preset does too: it names the id of the model's weights, and is refused
by any other. Only knobs that were chosen are stored; the others keep their defaults. Reading is as strict as for a
sidecar.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .errors import BundleError, DistillError, FileError, InvalidValue, NotFound
from .files import check_name, write_whole
from .knobs import Knobs
from .sidecar import ModelId, ModelInfo, Part, strict_json
from .suggest import did_you_mean

SCHEMA = "distill.preset"
SUFFIX = ".json"


class PresetModel(Part, frozen=True):
    """The model that a preset is for."""

    id: ModelId
    name: str


class PresetFile(Part, frozen=True):
    """What a preset's file holds."""

    schema: Literal["distill.preset"]
    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+\.\d+$")]
    distill: Annotated[str, Meta(description="version that saved it")]
    model: PresetModel
    knobs: dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """A preset and where it lies. `wishes`: the knobs that it sets, checked, as `Knobs.of` takes them."""

    name: str
    path: Path
    model: PresetModel
    wishes: Mapping[str, Any]

    @property
    def knobs(self) -> Knobs:
        """Its wishes, everything else at its default."""
        return Knobs.of(**self.wishes)


def presets_folder() -> Path:
    """`$DISTILL_PRESETS`, else distill's folder in the platform's configuration folder."""
    chosen = os.environ.get("DISTILL_PRESETS")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming")) / "distill" / "presets"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "distill" / "presets"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "distill" / "presets"


def save(name: str, model: ModelInfo, wishes: Mapping[str, Any], *, force: bool = False) -> Preset:
    """Keep `wishes` (as for `Knobs.of`) under a name. Raises InvalidValue, and FileError where it exists already."""
    from distill import __version__

    path = _path(name, model.id)
    if path.exists() and not force:
        raise FileError(f"preset {name!r} of {model.name} exists; --force overwrites it")
    checked = Knobs.of(**wishes)
    stored = PresetFile(schema="distill.preset", schema_version="1.0.0", distill=__version__,
                        model=PresetModel(id=model.id, name=model.name),
                        knobs={key: getattr(checked, key) for key in wishes})
    write_whole(path, msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")
    return read(path)


def find(name: str, model: ModelInfo) -> Preset:
    """The preset of that name for `model`; a name that ends in .json is a file.

    Raises NotFound; InvalidValue for a preset of another model; BundleError for a file that is no preset.
    """
    if name.endswith(SUFFIX):
        preset = read(Path(name))
    else:
        path = _path(name, model.id)
        others = [found for found in saved() if isinstance(found, Preset) and found.name == name]
        if path.is_file() or not others:
            preset = read(path, [found.name for found in saved(model.id) if isinstance(found, Preset)])
        else:
            preset = others[0]
    if preset.model.id != model.id:
        raise InvalidValue(f"preset {preset.name!r} is for the model {preset.model.name} ({preset.model.id}), not for "
                           f"{model.name} ({model.id}): sliders of one model mean nothing to another")
    return preset


def named(name: str, model_id: str | None = None) -> Preset:
    """The one preset of that name, of whichever model. Raises NotFound, and InvalidValue where there are several."""
    check_name(name, "a preset")
    at_hand = [found for found in saved(model_id) if isinstance(found, Preset)]
    found = [preset for preset in at_hand if preset.name == name]
    if not found:
        raise NotFound(f"no preset {name!r}{did_you_mean(name, {p.name for p in at_hand})}; distill presets list shows "
                       f"those in {presets_folder()}")
    if len(found) > 1:
        models = ", ".join(f"{p.model.name} ({p.model.id})" for p in found)
        raise InvalidValue(f"preset {name!r} exists for several models: {models}; say which")
    return found[0]


def rename(preset: Preset, name: str) -> Preset:
    """Give it another name. Raises FileError where that is taken."""
    target = _path(name, preset.model.id)
    if target.exists() and not (target.parent == preset.path.parent and target.samefile(preset.path)):
        raise FileError(f"preset {name!r} of {preset.model.name} exists; delete it first")
    try:
        os.replace(preset.path, target)
    except OSError as error:
        raise FileError(f"{preset.path}: cannot be renamed ({error.strerror})") from None
    return read(target)


def delete(preset: Preset) -> None:
    """Remove its file. Raises FileError."""
    try:
        preset.path.unlink()
        if not any(preset.path.parent.iterdir()):
            preset.path.parent.rmdir()
    except OSError as error:
        raise FileError(f"{preset.path}: cannot be removed ({error.strerror})") from None


def saved(model_id: str | None = None) -> Iterator[Preset | DistillError]:
    """All presets, or those of one model, sorted; for a file that is broken, what is wrong with it."""
    pattern = f"{model_id or '*'}/*{SUFFIX}"
    for path in sorted(presets_folder().glob(pattern)):
        if path.name.startswith("."):
            continue
        try:
            yield read(path)
        except DistillError as error:
            yield error


def read(path: Path, known: list[str] | None = None) -> Preset:
    """Read a preset's file. Raises NotFound, FileError, and BundleError that names the key that is wrong.

    known: names there are, for the message when there is none at `path`.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        about = "" if known is None else f"{did_you_mean(path.stem, known)}; there are: {', '.join(known) or 'none'}"
        raise NotFound(f"no preset {path.stem if known is not None else str(path)!r}{about}") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None
    raw = strict_json(text, str(path))
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise BundleError(f"{path}: not a preset of distill")
    try:
        stored = msgspec.convert(raw, PresetFile)
        checked = Knobs.of(**stored.knobs)
    except (msgspec.ValidationError, InvalidValue) as error:
        raise BundleError(f"{path}: {error}") from None
    return Preset(path.stem, path, stored.model, {key: getattr(checked, key) for key in stored.knobs})


def _path(name: str, model_id: str) -> Path:
    return presets_folder() / model_id / f"{check_name(name, 'a preset')}{SUFFIX}"
