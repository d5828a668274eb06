"""`distill bench`: how fast a model is on this very device, and what `distill generate` should therefore use."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from distill.benchmark import Figures


def bench(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder, .onnx file or name; left out: the built-in one."),
    ] = None,
    allow_int8: Annotated[
        bool, typer.Option("--allow-int8", help="Let int8 be chosen where it is faster; it sounds a little different."),
    ] = False,
    rounds: Annotated[int, typer.Option(help="How often everything is measured; the median counts.")] = 5,
    save: Annotated[bool, typer.Option(help="Keep the best choice, for distill generate to use.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure a model on this machine: speed of every variant, first-block latency, memory.

    The best choice is kept, and distill generate uses it. What is chosen by itself makes the same samples as ever.

    Example: distill bench
    """
    import sys

    from distill import tuning
    from distill.benchmark import measure
    from distill.bundle import open_bundle
    from distill.errors import FileError, InvalidValue

    if not 1 <= rounds <= 1000:
        raise InvalidValue(f"rounds is {rounds}; it must be from 1 to 1000")
    bundle = open_bundle(model)
    print("measuring; other programs make it slower ...", file=sys.stderr)
    figures = measure(bundle, allow_int8, rounds)
    best = next(row for row in figures.variants if row.variant == figures.best.variant)
    saved, problem = None, None
    if save:
        try:
            saved = str(tuning.keep(bundle.sidecar.model.id, figures.best, best.real_time_factor["balanced"]))
        except FileError as error:
            problem = error
    if as_json:
        print(json.dumps(_facts(bundle.sidecar.model.name, bundle.sidecar.model.id, figures, saved), indent=1))
    else:
        _table(bundle.sidecar.model.name, bundle.sidecar.chunking.recommended_chunk, figures, saved)
    if problem is not None:
        raise problem


def _facts(name: str, model_id: str, figures: Figures, saved: str | None) -> dict[str, Any]:
    from distill.tuning import machine

    return {"model": name, "model_id": model_id, "machine": machine(),
            "variants": [asdict(row) for row in figures.variants], "decoder": [asdict(row) for row in figures.decoder],
            "best": {"variant": figures.best.variant, "threads": figures.best.threads, "why": figures.why},
            "saved": saved}


def _table(name: str, grid: int, figures: Figures, saved: str | None) -> None:
    from distill.tuning import machine

    here = machine()
    print(f"{name} on {here['processor']}, {here['cores']} cores, onnxruntime {here['onnxruntime']}\n")
    print(f"{'':<8}{'times real time':>18}{'first block, ms':>18}{'load':>9}{'memory':>10}{'file':>9}  off fp32 by")
    print(f"{'':<8}{'fast':>9}{'balanced':>9}{'fast':>9}{'balanced':>9}{'ms':>9}{'MB':>10}{'MB':>9}")
    for row in figures.variants:
        memory = "?" if row.memory_mb is None else f"{row.memory_mb:.0f}"
        size = "?" if row.bytes is None else f"{row.bytes / 1e6:.1f}"
        print(f"{row.variant:<8}{row.real_time_factor['fast']:>9.0f}{row.real_time_factor['balanced']:>9.0f}"
              f"{row.first_block_ms['fast']:>9.1f}{row.first_block_ms['balanced']:>9.1f}{row.load_ms:>9.0f}"
              f"{memory:>10}{size:>9}  {row.max_error:.1g}")
    print("\ndecoder alone, times real time; = marks the same samples as one thread on the model's own grid")
    for variant in dict.fromkeys(row.variant for row in figures.decoder):
        mine = [row for row in figures.decoder if row.variant == variant]
        chunks = [f"chunk {r.chunk}: {r.real_time_factor:.0f}{'=' if r.same_samples else ''}" for r in mine
                  if r.threads == 1]
        threads = [f"{r.threads} threads: {r.real_time_factor:.0f}{'=' if r.same_samples else ''}" for r in mine
                   if r.chunk == grid and r.threads > 1]
        print(f"{variant:<8}{', '.join(chunks + threads)}")
    print(f"\nbest: {figures.best.variant}, {figures.best.threads} thread{'s' if figures.best.threads > 1 else ''} "
          f"({figures.why})")
    if saved:
        print(f"kept in {saved}; distill generate uses it")
