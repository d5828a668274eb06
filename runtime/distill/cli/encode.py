"""`distill encode`: a recording as latents, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .progress import tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distill.latent_file import Metadata
    from distill.model import Model


def encode(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder, .onnx file or name, with an encoder.")],
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Any sound file, at any rate.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .npz.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about the latents.")] = False,
) -> None:
    """Turn a recording into the latents of a model; its channels are mixed.

    Example: distill encode bells door.wav -o door.npz
    """
    from distill.latent_file import write_latents
    from distill.model import load

    loaded = load(model, device=device)  # type: ignore[arg-type]
    latents, metadata = latents_of(loaded, recording)
    write_latents(output, latents, metadata, force=force)
    if as_json:
        import json

        import msgspec

        print(json.dumps({"path": str(output), "latent_dim": latents.shape[0], "latent_frames": latents.shape[1],
                          **msgspec.to_builtins(metadata)}, indent=1))
    else:
        tell(f"{output}: {latents.shape[0]} x {latents.shape[1]} latents, "
             f"{metadata.samples / metadata.sample_rate_hz:.2f} s at {metadata.rate_hz:.2f} Hz")


def latents_of(model: Model, path: Path) -> tuple[NDArray[np.float32], Metadata]:
    """A sound file as latents, its channels mixed. Raises what `Recording` raises."""
    import numpy as np

    from distill.latent_file import SCHEMA, VERSION, Metadata
    from distill.recording import Recording
    from distill.resample import resampled

    source = Recording(path)
    length = max(1, round(source.samples * model.sample_rate / source.sample_rate))
    pieces = resampled(source.mono(), source.sample_rate, model.sample_rate, length)
    latents = np.concatenate(list(model.encoded(pieces)), axis=1)
    return latents, Metadata(schema=SCHEMA, schema_version=VERSION, model=model.name, model_id=model.sidecar.model.id,
                             rate_hz=model.sidecar.latent.rate_hz, sample_rate_hz=model.sample_rate, samples=length,
                             source=path.name)
