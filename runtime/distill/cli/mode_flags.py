"""The flags that say how latents are made, for every command that generates. None: the mode's default."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Mode = Annotated[str | None, typer.Option(help=(
    "walk (the default): follow the encoded corpus. crossfade: segments of it dissolve into each other. interpolate: "
    "glide between its moments. vector: stay at one latent."))]
Wander = Annotated[float | None, typer.Option(
    help="0 stays with the recordings, 1 goes far from them; left out: 0.3. Not for vector.")]
Jumps = Annotated[float | None, typer.Option(
    help="walk: jumps a second to a place that sounds alike; left out: 0.33.")]
Near = Annotated[str | None, typer.Option(
    metavar="RECORDING", help="Start from this recording of the corpus. Not for vector.")]
Density = Annotated[float | None, typer.Option(
    help="walk, crossfade: so many sounds begin each second; left out: as in the corpus.")]
Segment = Annotated[float | None, typer.Option(help="crossfade: seconds of a segment; left out: 3.")]
Overlap = Annotated[float | None, typer.Option(
    help="crossfade: seconds in which a segment fades into the next; left out: a third of a segment.")]
Interval = Annotated[float | None, typer.Option(help="interpolate: seconds from moment to moment; left out: 2.")]
Latent = Annotated[str | None, typer.Option(
    metavar="FILE", help="vector: the latent to stay at, .json or .npz; left out: a typical one of the corpus.")]
Evolution = Annotated[float | None, typer.Option(help="vector: 0 frozen, 1 free; left out: 0.3.")]
Quality = Annotated[str | None, typer.Option(help="Of the phase: fast, balanced (the default) or high.")]
Loop = Annotated[bool, typer.Option("--loop", help="The end meets the beginning.")]


def mode_knobs(latent: str | None, **given: Any) -> dict[str, Any]:
    """Knobs of the flags that were given; the latent is read from its file."""
    knobs = {name: value for name, value in given.items() if value is not None and value is not False}
    if latent is not None:
        from distill.latents.file import read_latent

        knobs["latent"] = read_latent(latent)
    return knobs
