"""`distill generate`: sound from a model, into files, down a pipe or from the loudspeaker."""

# Without the usual `from __future__ import annotations`: the text of so many flags takes milliseconds to evaluate.

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import asdict

from . import mode_flags as flags
from . import own_sound as own
from . import place_flags as place
from . import wish_flags as wish
from .live import LiveFlags
from .sound_out import Sound, SoundOut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distill.blending import Blend
    from distill.knobs import Knobs
    from distill.model import Model

    Array = NDArray[np.float32]

_BLOCK = 1 << 15  # samples written at a time


def generate(
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write (.wav .flac .ogg .mp3 .aiff); - is stdout."),
    ] = None,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder, .onnx file or name; left out: the built-in one."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the sound; left out: 10.")] = None,
    endless: Annotated[bool, typer.Option("--endless", help="Never stop; needs -o - or --play.")] = False,
    seed: Annotated[int | None, typer.Option(help="Same seed, same sound. Left out: drawn, and printed.")] = None,
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
    from_audio: own.FromAudio = None,
    latents: own.Latents = None,
    quality: flags.Quality = None,
    channels: place.Channels = None,
    width: place.Width = None,
    binaural: place.Binaural = False,
    azimuth: place.Azimuth = None,
    turn: place.Turn = None,
    no_loudness: place.NoLoudness = False,
    slider: wish.Slider = None,
    randomize: wish.Randomize = False,
    preset: wish.Preset = None,
    sample_rate: Annotated[int | None, typer.Option(help="Hz; left out: the model's own.")] = None,
    bit_depth: Annotated[
        str | None, typer.Option(help="16, 24 or float; left out: 24 for files, float for stdout."),
    ] = None,
    count: Annotated[int, typer.Option(help="So many files, seeds counting up: out-1.wav, out-2.wav, ...")] = 1,
    jobs: Annotated[int, typer.Option(help="With --count: so many files at a time.")] = 1,
    play: Annotated[bool, typer.Option("--play", help="From the loudspeaker, as it is made; with -o, into it as well.")
                    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="With -o -: samples without a header.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    variant: Annotated[
        str | None, typer.Option(help="fp32, fp16 or int8; left out: what distill bench chose here, else fp32."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of the decoder; left out: what distill bench chose here, else 1."),
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="stdin: obey lines like 'slider brightness 3' as it plays; for -o -, --play."),
    ] = None,
    osc_port: Annotated[
        int | None, typer.Option(help="Obey OSC messages on this UDP port of this machine; for -o - and --play."),
    ] = None,
    live_chunk: Annotated[
        int | None, typer.Option(help="Under control: latent frames made at a time (1); 8 halve the work, and obey "
                                      "later."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about what was made.")] = False,
) -> None:
    """Make sound from a model.

    Example: distill generate -o hello.wav --seconds 10 --seed 1
    """
    from distill.tuning import load_tuned

    out = SoundOut(output, play=play, sample_rate=sample_rate, bit_depth=bit_depth, raw=raw, force=force, count=count,
                   jobs=jobs, endless=endless, as_json=as_json)
    live = LiveFlags(control, osc_port, live_chunk)
    live.check(output == "-" or play)
    own.check(from_audio, latents)
    loaded: Model | Blend
    loaded, tuned = model(device, variant, threads) if callable(model) else \
        load_tuned(model, device=device, variant=variant, threads=threads)  # type: ignore[arg-type]
    given = flags.mode_knobs(latent, mode=mode, wander=wander, jumps=jumps, near=near, density=density,
                             segment=segment, overlap=overlap, interval=interval, evolution=evolution, loop=loop,
                             quality=quality)
    given |= place.place_knobs(no_loudness, channels=channels, width=width, binaural=binaural, azimuth=azimuth,
                               turn=turn)
    length = 10.0 if seconds is None else seconds
    if from_audio is not None:
        loaded = own.with_recording(loaded, from_audio)
    if latents is not None:
        loaded, lasting = own.with_latents(loaded, latents)
        given, length = own.played_as_they_are(given), lasting if seconds is None else seconds
    wishes = wish.Wishes(loaded, given, slider, preset, randomize, seed)

    def sound(index: int) -> Sound:
        knobs = wishes.knobs(index)
        wishes.told(knobs)
        return sound_of(loaded, knobs, None if endless else length, out, live if live.wanted else None)

    made = out.write(sound)
    if as_json:
        import json

        from distill import __version__

        facts = {"version": __version__, **loaded.about, "tuned": tuned, **_told(wishes.knobs(0), randomize),
                 "preset": preset, "files": made}
        print(json.dumps(facts, indent=1))


def sound_of(voice: "Model | Blend", knobs: "Knobs", seconds: float | None, out: SoundOut,
             live: LiveFlags | None = None) -> Sound:
    """What `knobs` mean, ready to be written, with the recipe in its comment. Raises InvalidValue now, not later."""
    from distill.provenance import Recipe

    facts: dict[str, Any] = {"sliders": dict(knobs.sliders)}
    comment = ""
    if live is not None:
        pieces = live.pieces(voice, seconds, knobs.seed, {k: v for k, v in asdict(knobs).items() if k != "seed"})
    else:
        pieces = _pieces(voice, knobs, seconds)
        if seconds is not None and out.to_file:  # what has no end, or is steered by hand, has no recipe
            recipe = Recipe.of(voice, knobs, seconds, out.sample_rate or voice.sample_rate, out.file_depth)
            facts["recipe"], comment = recipe.facts, recipe.text()
    return Sound(pieces, voice.sample_rate, knobs.channels, knobs.seed, seconds, knobs.loop, voice.name, comment, facts)


def _told(knobs: "Knobs", randomize: bool) -> dict[str, Any]:
    """The knobs that all the files share."""
    each = {"seed", "sliders"} if randomize else {"seed"}
    return {key: value for key, value in asdict(knobs).items() if value is not None and key not in each}


def _pieces(voice: "Model | Blend", knobs: "Knobs", seconds: float | None) -> Iterator["Array"]:
    from distill.render import blocks, render

    return blocks(render(voice, knobs, seconds), _BLOCK)
