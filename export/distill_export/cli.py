"""The `distill-export` command."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from distill.cli import door
from distill.errors import InvalidValue, MissingExtra

app = typer.Typer(name="distill-export", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that distill-train made.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Folder to write.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; left out: the folder's.")] = None,
    license_id: Annotated[
        str, typer.Option("--license", metavar="SPDX", help="Licence of the sound: an SPDX identifier like CC0-1.0."),
    ] = "NOASSERTION",
    variants: Annotated[
        str, typer.Option(metavar="LIST", help="Smaller decoders to add: fp16, int8 or fp16,int8."),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an older bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about the bundle.")] = False,
) -> None:
    """Turn a training run into a bundle that plays without PyTorch, and prove that it sounds the same.

    Example: distill-export runs/bells -o bells --license CC0-1.0
    """
    if not re.fullmatch(r"[A-Za-z0-9.+-]+(-or-later)?( (AND|OR|WITH) [A-Za-z0-9.+-]+)*", license_id):
        raise InvalidValue(f"license is {license_id!r}; it must be an SPDX identifier such as CC0-1.0 or CC-BY-4.0")
    for package, extra in (("torch", "train"), ("onnx", "export"), ("onnxscript", "export")):
        _need(package, extra)
    from distill.sidecar import dump

    from .build import export_bundle

    started = time.perf_counter()
    result = export_bundle(run, output, name=name, license_id=license_id, force=force,
                           variants=[part.strip() for part in variants.split(",") if part.strip()],
                           tell=lambda text: print(f"{text} ...", file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps({"bundle": str(result.path), "bytes": result.bytes,
                          "seconds": round(time.perf_counter() - started, 1),
                          "sidecar": json.loads(dump(result.sidecar))}, indent=1))
    else:
        print(f"{result.path}: {result.bytes / 1e6:.1f} MB; seam {result.sidecar.chunking.seam.border_db:.0f} dB",
              file=sys.stderr)
        for entry in result.sidecar.files:
            if entry.parity:
                print(f"{entry.path}: {entry.bytes / 1e6:.1f} MB; parity: max error {entry.parity.max_error:.1e}, "
                      f"SNR {entry.parity.snr_db:.0f} dB, LSD {entry.parity.lsd_db:.3f} dB, "
                      f"level {entry.parity.level_db:.3f} dB", file=sys.stderr)


def _need(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtra(package, extra)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    door.run(app, "distill-export", arguments)
