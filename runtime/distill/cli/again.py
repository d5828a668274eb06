"""`distill again`: the same sound once more, from the recipe in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import InvalidValue, NotFound

from . import own_sound as own
from .generate import sound_of
from .progress import tell
from .sound_out import SoundOut

if TYPE_CHECKING:
    from distill.blending import Blend
    from distill.model import Model
    from distill.provenance import Recipe


def again(
    sound: Annotated[Path, typer.Argument(metavar="SOUND", help="A file that distill generate or blend wrote.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write (.wav .flac .ogg .mp3 .aiff); - is stdout."),
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="Where the model is; left out: the models at hand are looked through. "
                                            "Repeatable, for a blend."),
    ] = None,
    from_audio: own.FromAudio = None,
    latents: own.Latents = None,
    bit_depth: Annotated[str | None, typer.Option(help="16, 24 or float; left out: as it was.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda; left out: as it was.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about what was made.")] = False,
) -> None:
    """Make a sound again from what its file says about itself: the same samples, and the same WAV or FLAC file.

    Example: distill again hello.wav -o same.wav
    """
    from distill import __version__
    from distill.knobs import Knobs
    from distill.provenance import read_recipe

    recipe = read_recipe(sound)
    out = SoundOut(output, sample_rate=recipe.sample_rate, bit_depth=_depth(output, bit_depth, recipe), force=force,
                   as_json=as_json)
    if recipe.distill != __version__:
        tell(f"warning: {sound} was made by distill {recipe.distill}, this is {__version__}: it may sound different")
    _check_beginning(recipe, from_audio, latents)
    voice = _begun(voice_of(recipe, model or [], device or recipe.device), recipe, from_audio, latents)
    made = out.write(lambda index: sound_of(voice, Knobs.of(**recipe.wishes), recipe.seconds, out))
    if as_json:
        import json

        print(json.dumps({"version": __version__, **voice.about, "files": made}, indent=1))


def voice_of(recipe: Recipe, places: list[str], device: str) -> Model | Blend:
    """The model or blend of a recipe: out of `places`, where any are given, else out of the models at hand.

    Raises NotFound where a model is missing, InvalidValue for a place with another model.
    """
    from distill.bundle import open_bundle
    from distill.model import Model

    wanted = [(slot.model, slot.model_id, slot.variant) for slot in recipe.blend.slots] if recipe.blend else \
        [(recipe.model, recipe.model_id, recipe.variant)]
    given = {bundle.sidecar.model.id: bundle for bundle in map(open_bundle, places)}
    for model_id, bundle in given.items():
        if model_id not in {wish[1] for wish in wanted}:
            raise InvalidValue(f"{bundle.path} is the model {bundle.sidecar.model.name} ({model_id}); the sound was "
                               f"made by {' and '.join(f'{name} ({number})' for name, number, _ in wanted)}")
    models = [Model(given.get(model_id) or _at_hand(name, model_id), device=device, variant=variant)  # type: ignore[arg-type]
              for name, model_id, variant in wanted]
    if recipe.blend is None:
        return models[0]
    from distill.blending import ModelSlot, blend

    slots = [ModelSlot(model, tuple(slot.weight), label=slot.label)
             for model, slot in zip(models, recipe.blend.slots, strict=True)]
    return blend(slots, recipe.blend.mode)  # type: ignore[arg-type]


def _check_beginning(recipe: Recipe, from_audio: Path | None, latents: Path | None) -> None:
    """Raises InvalidValue where a recording is missing, or given though the sound did not begin with one."""
    own.check(from_audio, latents)
    given = from_audio is not None or latents is not None
    if recipe.anchor is None and given:
        raise InvalidValue("the sound did not begin with a recording; leave --from-audio and --latents out")
    if recipe.anchor is not None and not given:
        raise InvalidValue(f"the sound began with a recording ({recipe.anchor.name}) and can only be made again with "
                           "it: --from-audio says where it is, or --latents if they were given")


def _begun(voice: Model | Blend, recipe: Recipe, from_audio: Path | None, latents: Path | None) -> Model | Blend:
    """The voice, and the recording that the sound began with, if it did."""
    from distill.provenance import anchor_of

    if recipe.anchor is None:
        return voice
    begun = own.with_recording(voice, from_audio) if from_audio is not None else \
        own.with_latents(voice, latents)[0]  # type: ignore[arg-type]
    found = anchor_of(begun)
    if found is None or found.latents_sha256 != recipe.anchor.latents_sha256:
        tell("warning: this is not quite the recording that the sound began with, or another machine encoded it: it "
             "will sound different")
    return begun


def _at_hand(name: str, model_id: str) -> Any:
    from distill.bundle import open_bundle
    from distill.shelf import by_id

    path = by_id(model_id)
    if path is None:
        raise NotFound(f"the sound was made by the model {name} ({model_id}), which is not among the models at hand; "
                       "--model says where it is")
    return open_bundle(path)


def _depth(output: str, wanted: str | None, recipe: Recipe) -> str | None:
    """As it was, where the new file's format has such a thing."""
    from distill.audio_file import FORMATS

    kind = FORMATS.get(Path(output).suffix.lower())
    return wanted if wanted is not None or (kind is not None and kind.lossy is not None) else recipe.bit_depth
