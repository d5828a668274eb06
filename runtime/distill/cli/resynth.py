"""`distill resynth`: a recording, played by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .sound_out import Sound, SoundOut


def resynth(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder, .onnx file or name, with an encoder.")],
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Any sound file, at any rate.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write (.wav .flac .ogg .mp3 .aiff); - is stdout."),
    ] = None,
    quality: Annotated[str, typer.Option(help="fast, balanced or high.")] = "balanced",
    no_loudness: Annotated[bool, typer.Option(
        "--no-loudness", help="Leave the level that the model gives it; without, it follows the recording's.")] = False,
    sample_rate: Annotated[int | None, typer.Option(help="Hz; left out: the model's own.")] = None,
    bit_depth: Annotated[
        str | None, typer.Option(help="16, 24 or float; left out: 24 for files, float for stdout."),
    ] = None,
    play: Annotated[bool, typer.Option("--play", help="From the loudspeaker; with -o, into it as well.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="With -o -: samples without a header.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    variant: Annotated[str | None, typer.Option(help="fp32, fp16 or int8; left out: fp32.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about what was made.")] = False,
) -> None:
    """Play a recording with the sound of a model: as long, as loud, channel by channel.

    Example: distill resynth bells voice.wav -o bells-that-speak.wav
    """
    from distill.model import load
    from distill.provenance import note
    from distill.recording import Recording
    from distill.resample import resampled
    from distill.resynthesis import Resynthesis

    out = SoundOut(output, play=play, sample_rate=sample_rate, bit_depth=bit_depth, raw=raw, force=force,
                   as_json=as_json)
    source = Recording(recording)
    loaded = load(model, device=device, variant=variant)  # type: ignore[arg-type]
    seconds = source.samples / source.sample_rate
    length = max(1, round(seconds * loaded.sample_rate))
    pieces = resampled(source, source.sample_rate, loaded.sample_rate, length)
    wanted: Any = quality
    told = note(loaded, "resynth", recording=recording.name, seconds=seconds, quality=quality,
                loudness="model" if no_loudness else "recording", sample_rate=out.sample_rate or loaded.sample_rate,
                bit_depth=out.file_depth)
    with Resynthesis(loaded, pieces, source.channels, wanted, follow=not no_loudness) as work:
        made = out.write(lambda index: Sound(work.pieces(), loaded.sample_rate, source.channels, None, seconds,
                                             title=loaded.name, comment=told,
                                             prepare=work.prepare))
    if as_json:
        import json

        from distill import __version__

        print(json.dumps({"version": __version__, **loaded.about, "recording": str(recording), "quality": quality,
                          "files": made}, indent=1))
