"""The flags that say how loud, how wide and where a sound is, for every command that generates."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Channels = Annotated[int | None, typer.Option(help="1, or 2 for stereo; left out: 1.")]
Width = Annotated[float | None, typer.Option(
    help="Of two channels: 0 is mono, 1 wide, 2 wider than the loudspeakers; left out: 1.")]
Binaural = Annotated[bool, typer.Option("--binaural", help="Two channels for headphones; needs --channels 2.")]
Azimuth = Annotated[float | None, typer.Option(
    help="binaural: degrees where the sound is: 0 in front, 90 right, -90 left, 180 behind.")]
Turn = Annotated[float | None, typer.Option(help="binaural: degrees a second by which it moves to the right.")]
NoLoudness = Annotated[bool, typer.Option(
    "--no-loudness", help="Leave the model's own level; without it all models are equally loud and nothing clips.")]


def place_knobs(no_loudness: bool, **given: Any) -> dict[str, Any]:
    """Knobs of the flags that were given."""
    knobs = {name: value for name, value in given.items() if value is not None and value is not False}
    if no_loudness:
        knobs["loudness"] = "model"
    return knobs
