"""`distill generate`: sound from a model, into files or down a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import FileError, InvalidValue

from .door import reader_left

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distill.model import Model

    Array = NDArray[np.float32]

_BLOCK = 1 << 15  # samples written at a time


def generate(
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write (.wav .flac .ogg .mp3 .aiff); - is stdout."),
    ],
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Folder, .onnx file or name; left out: the built-in one."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the sound.")] = 10.0,
    endless: Annotated[bool, typer.Option("--endless", help="Never stop; needs -o -.")] = False,
    seed: Annotated[int | None, typer.Option(help="Same seed, same sound. Left out: drawn, and printed.")] = None,
    mode: Annotated[str, typer.Option(help="walk: follow the encoded corpus.")] = "walk",
    wander: Annotated[float, typer.Option(help="0 stays with the recordings, 1 goes far from them.")] = 0.3,
    quality: Annotated[str, typer.Option(help="fast, balanced or high.")] = "balanced",
    sample_rate: Annotated[int | None, typer.Option(help="Hz; left out: the model's own.")] = None,
    bit_depth: Annotated[
        str | None, typer.Option(help="16, 24 or float; left out: 24 for files, float for stdout."),
    ] = None,
    count: Annotated[int, typer.Option(help="So many files, seeds counting up: out-1.wav, out-2.wav, ...")] = 1,
    raw: Annotated[bool, typer.Option("--raw", help="With -o -: samples without a header.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about what was made.")] = False,
) -> None:
    """Make sound from a model.

    Example: distill generate -o hello.wav --seconds 10 --seed 1
    """
    from distill.model import load

    to_stdout = output == "-"
    _check_flags(to_stdout, endless, raw, as_json, count, bit_depth, sample_rate)
    if seed is None:
        import secrets

        seed = secrets.randbelow(1 << 31)
    loaded = load(model, device=device)  # type: ignore[arg-type]
    knobs: dict[str, Any] = {"mode": mode, "wander": wander, "quality": quality}
    made = []
    for index in range(count):
        path = output if count == 1 else _numbered(output, index + 1)
        made.append(_make(loaded, path, None if endless else seconds, seed + index, knobs, sample_rate, bit_depth,
                          raw, force))
    if as_json:
        import json

        from distill import __version__

        facts = {"version": __version__, "model": loaded.sidecar.model.name, "model_id": loaded.sidecar.model.id,
                 "provider": loaded.provider, **knobs, "files": made}
        print(json.dumps(facts, indent=1))


def _check_flags(to_stdout: bool, endless: bool, raw: bool, as_json: bool, count: int, bit_depth: str | None,
                 sample_rate: int | None) -> None:
    if endless and not to_stdout:
        raise InvalidValue("--endless needs -o -; a file must have an end")
    if raw and not to_stdout:
        raise InvalidValue("--raw needs -o -; for a file choose its format by the suffix")
    if to_stdout and as_json:
        raise InvalidValue("-o - puts sound on standard output, so --json has no place there")
    if to_stdout and count != 1:
        raise InvalidValue("--count needs files; -o - is one stream")
    if not 1 <= count <= 10_000:
        raise InvalidValue(f"count is {count}; it must be from 1 to 10000")
    if bit_depth not in (None, "16", "24", "float"):
        raise InvalidValue(f"bit depth is {bit_depth!r}; it must be 16, 24 or float")
    if sample_rate is not None and not 4_000 <= sample_rate <= 384_000:
        raise InvalidValue(f"sample rate is {sample_rate}; it must be from 4000 to 384000 Hz")


def _make(model: Model, output: str, seconds: float | None, seed: int, knobs: dict[str, Any],
          sample_rate: int | None, bit_depth: Any, raw: bool, force: bool) -> dict[str, Any]:
    """One sound, from the model to where it goes; returns what is worth telling."""
    from distill.audio_file import FileSink, StreamSink

    rate = sample_rate or model.sample_rate
    samples = 0 if seconds is None else round(seconds * rate) if 0 < seconds < 1e9 else 0
    pieces = _pieces(model, seconds, seed, knobs)
    if rate != model.sample_rate:
        pieces = _resampled(pieces, model.sample_rate, rate, samples if seconds is not None else None)
    print(f"seed {seed}", file=sys.stderr)
    sink: FileSink | StreamSink
    if output == "-":
        if sys.stdout.isatty():
            raise FileError("-o - would write sound to the terminal; pipe it into a player or a file")
        sink = StreamSink(sys.stdout.buffer, rate, 1, bit_depth or "float", raw=raw, seed=seed)
    else:
        comment = " ".join([f"model={model.sidecar.model.id}", f"seed={seed}", *(f"{k}={v}" for k, v in knobs.items())])
        sink = FileSink(output, rate, 1, bit_depth, samples=samples, seed=seed, force=force,
                        title=model.name, comment=f"distill {comment}")
    meter = _Meter()
    started = time.perf_counter()
    try:
        with sink:
            for piece in meter.watch(pieces):
                sink.write(piece)
    except BrokenPipeError:
        reader_left()
    spent = time.perf_counter() - started
    if sink.clipped:
        print(f"warning: {output}: {sink.clipped} samples were beyond full scale and are clipped; "
              "--bit-depth float keeps them", file=sys.stderr)
    return {"path": output, "seed": seed, "samples": meter.samples, "seconds": meter.samples / rate,
            "sample_rate": rate, "peak_db": meter.peak_db, "rms_db": meter.rms_db, "clipped": sink.clipped,
            "real_time_factor": round(meter.samples / rate / max(spent, 1e-9), 1)}


def _pieces(model: Model, seconds: float | None, seed: int, knobs: dict[str, Any]) -> Iterator[Array]:
    from distill.knobs import Knobs
    from distill.render import blocks, render

    return blocks(render(model, Knobs.of(seed=seed, **knobs), seconds), _BLOCK)


def _resampled(pieces: Iterable[Array], source: int, target: int, total: int | None) -> Iterator[Array]:
    """The same sound at another rate; exactly `total` samples of it where that is known."""
    import numpy as np
    import soxr

    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="VHQ")
    done = 0
    for piece in pieces:
        out = stream.resample_chunk(piece)
        done += len(out)
        yield out
    out = stream.resample_chunk(np.empty(0, np.float32), last=True)
    if total is not None:
        out = np.pad(out, (0, max(0, total - done - len(out))))[:max(0, total - done)]
    yield out


class _Meter:
    """Peak and RMS of what passes through."""

    def __init__(self) -> None:
        self.samples, self._peak, self._energy = 0, 0.0, 0.0

    def watch(self, pieces: Iterable[Array]) -> Iterator[Array]:
        import numpy as np

        for piece in pieces:
            if len(piece):
                self.samples += len(piece)
                self._peak = max(self._peak, float(np.abs(piece).max()))
                self._energy += float(np.dot(piece, piece))
            yield piece

    @property
    def peak_db(self) -> float:
        return _db(self._peak)

    @property
    def rms_db(self) -> float:
        return _db((self._energy / max(1, self.samples)) ** 0.5)


def _db(amplitude: float) -> float:
    import math

    return round(20 * math.log10(max(amplitude, 1e-10)), 2)


def _numbered(output: str, number: int) -> str:
    from pathlib import Path

    path = Path(output)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
