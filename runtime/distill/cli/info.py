"""`distill info`, `distill check`: what a model is, and whether it is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .table import sidecar_rows, sliders_table, two_columns

if TYPE_CHECKING:
    from distill.model import Model


def info(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder, .onnx file or name; left out: the built-in one."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The sidecar, plus what was measured here, as one JSON object."),
    ] = False,
) -> None:
    """Show what a model is, where it came from, and how fast it runs here.

    Example: distill info
    """
    from distill.model import load
    from distill.sidecar import dump

    loaded = load(model, device="cpu")
    here = _measure(loaded)
    if as_json:
        print(json.dumps({**json.loads(dump(loaded.sidecar)), "measured_here": here}, indent=1))
        return
    s = loaded.sidecar
    two_columns([*sidecar_rows(s),
                 ("here", f"{here['real_time_factor']:.0f} times real time on one thread, {here['provider']}")])
    sliders_table(s)


def check(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder or name; left out: the built-in one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Prove on this machine that a model is whole and sounds as it did where it was exported.

    Example: distill check
    """
    from distill.golden import replay
    from distill.model import load

    loaded = load(model, device="cpu")
    results = [replay(loaded if variant == "fp32" else load(model, device="cpu", variant=variant))
               for variant in loaded.sidecar.variants]
    if as_json:
        print(json.dumps({**results[0], "variants": results}, indent=1))
        return
    print(f"{loaded.name}: every file as exported")
    for result in results:
        print(f"{result['variant']}: golden spectrogram within {result['max_error']:.1e} (allowed "
              f"{result['max_error_allowed']:.1g}), level within {result['level_db']:.3f} dB "
              f"(allowed {result['level_db_allowed']:.2g})")


def _measure(model: Model) -> dict[str, Any]:
    """Real-time factor of the whole path on this machine: the best of three runs of four seconds."""
    import time

    seconds, best = 4.0, float("inf")
    for _ in range(3):
        started = time.perf_counter()
        model.generate(seconds, seed=0)
        best = min(best, time.perf_counter() - started)
    return {"provider": model.provider, "real_time_factor": round(seconds / best, 1), "quality": "balanced"}
