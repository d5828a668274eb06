"""`distill info`, `distill check`, `distill models`: what a model is, whether it is sound, which ones there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    rows = [
        ("model", f"{s.model.name} ({s.model.id}), trained {s.model.created}"),
        ("sound", f"{s.audio.sample_rate_hz} Hz, licence {s.license}"),
        ("corpus", f"{s.corpus.files} files, {s.corpus.seconds:.0f} s"),
        ("spectrogram", f"n_fft {s.stft.n_fft}, hop_length {s.stft.hop_length}, n_mels {s.bands.n_mels}, "
                        f"floor {s.bands.floor_db:g} dB"),
        ("latents", f"{s.latent.dim} dimensions at {s.latent.rate_hz:.1f} Hz, "
                    f"{'corpus stored' if loaded.prior else 'no corpus stored'}"),
        ("chunks", f"{s.chunking.recommended_chunk} latent frames, receptive field "
                   f"-{s.chunking.receptive_field_left} +{s.chunking.receptive_field_right}, "
                   f"seam {s.chunking.seam.border_db:.0f} dB"),
        ("level", f"RMS {s.loudness.rms_db:.1f} dBFS, peak {s.loudness.peak_db:.1f} dBFS "
                  f"(corpus RMS {s.loudness.corpus_rms_db:.1f})"),
        ("training", f"{s.provenance.steps} steps in {s.provenance.train_seconds:.0f} s, seed {s.provenance.seed}, "
                     f"distill {s.provenance.distill}"),
        *((f"{e.role}", f"{e.path}, {e.dtype}, {e.bytes / 1e6:.1f} MB" + (
            f", parity {e.parity.max_error:.1e} / SNR {e.parity.snr_db:.0f} dB" if e.parity else ""))
          for e in s.files),
        ("here", f"{here['real_time_factor']:.0f} times real time on one thread, {here['provider']}"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")


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
    result = replay(loaded)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{loaded.name}: every file as exported; golden spectrogram within {result['max_error']:.1e} "
              f"(allowed {result['max_error_allowed']:.0e}), level within {result['level_db']:.3f} dB "
              f"(allowed {result['level_db_allowed']:g})")


def models(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """List the models at hand: the ones in the model folder and the built-in ones.

    Example: distill models
    """
    from distill.bundle import installed, models_folder, open_bundle
    from distill.errors import DistillError

    rows: list[dict[str, Any]] = []
    for name, path in sorted(installed().items()):
        try:
            s = open_bundle(path).sidecar
            rows.append({"name": name, "path": str(path), "id": s.model.id, "sample_rate": s.audio.sample_rate_hz,
                         "bytes": sum(e.bytes for e in s.files), "license": s.license, "error": None})
        except DistillError as error:
            rows.append({"name": name, "path": str(path), "id": None, "sample_rate": None, "bytes": None,
                         "license": None, "error": str(error)})
    if as_json:
        print(json.dumps({"folder": str(models_folder()), "models": rows}, indent=1))
        return
    for row in rows:
        what = row["error"] or f"{row['sample_rate']} Hz, {row['bytes'] / 1e6:.1f} MB, {row['license']}"
        print(f"{row['name']:<16} {what}  {row['path']}")


def _measure(model: Model) -> dict[str, Any]:
    """Real-time factor of the whole path on this machine: the best of three runs of four seconds."""
    import time

    seconds, best = 4.0, float("inf")
    for _ in range(3):
        started = time.perf_counter()
        model.generate(seconds, seed=0)
        best = min(best, time.perf_counter() - started)
    return {"provider": model.provider, "real_time_factor": round(seconds / best, 1), "quality": "balanced"}
