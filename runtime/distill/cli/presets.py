"""`distill presets`: knobs under a name, for one model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import InvalidValue

from . import mode_flags as flags
from . import place_flags as place
from . import wish_flags as wish
from .progress import tell

if TYPE_CHECKING:
    from distill.presets import Preset

app = typer.Typer(help="Keep settings under a name, for one model: distill generate --preset NAME uses them.\n\n"
                       "Example: distill presets list", no_args_is_help=True, add_completion=False,
                  rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, spaces and . _ + ( ) -")]
Owner = Annotated[str | None, typer.Argument(
    metavar="[MODEL]", help="Only of this model: a folder, a name or an id; left out: of any.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command()
def save(
    name: Name,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder, .onnx file or name; left out: the built-in one."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="SOUND", help="Take the settings of a file that distill wrote."),
    ] = None,
    slider: wish.Slider = None,
    seed: Annotated[int | None, typer.Option(help="Keep a seed too; left out: each sound draws its own.")] = None,
    mode: flags.Mode = None,
    wander: flags.Wander = None,
    jumps: flags.Jumps = None,
    near: flags.Near = None,
    density: flags.Density = None,
    segment: flags.Segment = None,
    overlap: flags.Overlap = None,
    interval: flags.Interval = None,
    latent: flags.Latent = None,
    evolution: flags.Evolution = None,
    loop: flags.Loop = False,
    quality: flags.Quality = None,
    channels: place.Channels = None,
    width: place.Width = None,
    binaural: place.Binaural = False,
    azimuth: place.Azimuth = None,
    turn: place.Turn = None,
    no_loudness: place.NoLoudness = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a preset of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Keep settings: those of the flags, or those of a sound, changed by the flags.

    Example: distill presets save dark --slider brightness=-6 --wander 0.5
    """
    from distill import presets
    from distill.bundle import open_bundle
    from distill.sliders import Sliders

    sidecar = open_bundle(model).sidecar
    given = flags.mode_knobs(latent, mode=mode, wander=wander, jumps=jumps, near=near, density=density,
                             segment=segment, overlap=overlap, interval=interval, evolution=evolution, loop=loop,
                             quality=quality, seed=seed)
    given |= place.place_knobs(no_loudness, channels=channels, width=width, binaural=binaural, azimuth=azimuth,
                               turn=turn)
    kept = {} if source is None else _of_sound(source, sidecar.model.id, sidecar.model.name)
    own = Sliders(sidecar)
    sliders = {**own.named(kept.get("sliders", {})), **own.named(wish.sliders_of(slider))}
    wishes = {**kept, **given, **({"sliders": sliders} if sliders else {})}
    if not wishes:
        raise InvalidValue("there is nothing to keep; give settings, such as --slider brightness=-6, or --from SOUND")
    preset = presets.save(name, sidecar.model, wishes, force=force)
    tell(f"kept as {preset.path}")
    if as_json:
        print(json.dumps(_facts(preset), indent=1))


@app.command("list")
def list_presets(model: Owner = None, as_json: Json = False) -> None:
    """List the presets, of all models or of one.

    Example: distill presets list
    """
    from distill.presets import Preset, presets_folder, saved

    found = list(saved(_model_id(model)))
    rows = [_facts(p) if isinstance(p, Preset) else {"name": None, "error": str(p)} for p in found]
    if as_json:
        print(json.dumps({"folder": str(presets_folder()), "presets": rows}, indent=1))
        return
    width = max((len(p.name) for p in found if isinstance(p, Preset)), default=0)
    for p in found:
        print(f"{p.name:<{width}}  {p.model.name} ({p.model.id})  {_summary(p.wishes)}" if isinstance(p, Preset)
              else f"{'?':<{width}}  {p}")


@app.command()
def show(name: Name, model: Owner = None, as_json: Json = False) -> None:
    """Show what a preset sets.

    Example: distill presets show dark
    """
    preset = _named(name, model)
    if as_json:
        print(json.dumps(_facts(preset), indent=1))
        return
    rows = [("preset", preset.name), ("model", f"{preset.model.name} ({preset.model.id})"), ("file", str(preset.path)),
            *((key, _value(value)) for key, value in preset.wishes.items())]
    width = max(len(key) for key, _ in rows)
    for key, text in rows:
        print(f"{key:<{width}}  {text}")


@app.command()
def rename(name: Name, new_name: Annotated[str, typer.Argument(metavar="NEW")], model: Owner = None) -> None:
    """Give a preset another name.

    Example: distill presets rename dark darker
    """
    from distill import presets

    tell(f"kept as {presets.rename(_named(name, model), new_name).path}")


@app.command()
def delete(name: Name, model: Owner = None) -> None:
    """Delete a preset.

    Example: distill presets delete dark
    """
    from distill import presets

    preset = _named(name, model)
    presets.delete(preset)
    tell(f"deleted {preset.path}")


def _named(name: str, model: str | None) -> Preset:
    from distill import presets

    if name.endswith(presets.SUFFIX):
        raise InvalidValue(f"preset {name!r} is a file; here presets are meant by name")
    return presets.named(name, _model_id(model))


def _model_id(model: str | None) -> str | None:
    from distill.bundle import open_bundle

    if model is None or re.fullmatch("[0-9a-f]{16}", model):
        return model
    return open_bundle(model).sidecar.model.id


def _of_sound(source: Path, model_id: str, model: str) -> dict[str, Any]:
    """The knobs of a sound that are not at their defaults, without its seed."""
    from distill.knobs import Knobs
    from distill.provenance import read_recipe

    recipe = read_recipe(source)
    if recipe.model_id != model_id:
        raise InvalidValue(f"{source} was made by {recipe.model} ({recipe.model_id}), not by {model} ({model_id})")
    plain = Knobs.of()
    return {key: value for key, value in recipe.wishes.items() if key != "seed" and value != getattr(plain, key)}


def _facts(preset: Preset) -> dict[str, Any]:
    return {"name": preset.name, "model": preset.model.name, "model_id": preset.model.id, "path": str(preset.path),
            "knobs": dict(preset.wishes), "error": None}


def _summary(wishes: Mapping[str, Any]) -> str:
    return ", ".join(_value(value) if key == "sliders" else f"{key} {_value(value)}" for key, value in wishes.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    if isinstance(value, tuple):
        return f"{len(value)} numbers"
    return f"{value:g}" if isinstance(value, float) else str(value)
