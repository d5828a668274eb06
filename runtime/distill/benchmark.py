"""How fast a model is on this machine: every variant, thread counts and chunk lengths, side by side.

Everything is measured in turns, round after round, and the median of the rounds counts: what else the machine does
then falls on all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .decoder import ChunkDecoder
from .knobs import Quality
from .model import Model
from .sidecar import DECODERS, Variant
from .tuning import Choice, cores

Array = NDArray[np.float32]

QUALITIES: tuple[Quality, ...] = ("fast", "balanced")
_ROUNDS = 5
_SECONDS = 4.0  # of sound in one measurement
_CHUNKS = (16, 32, 64, 128, 256)  # latent frames
_BLOCK = 512  # samples
_WORTH_IT = 1.05  # times as fast: less is noise, and a second thread must earn what it takes from others


@dataclass(frozen=True)
class VariantFigures:
    """One variant on one thread."""

    variant: Variant
    bytes: int | None  # of its file; None for a lone decoder.onnx
    real_time_factor: dict[str, float]  # per quality: seconds of sound made in a second
    first_block_ms: dict[str, float]  # per quality: from the call to the first 512 samples, the model loaded
    load_ms: float
    memory_mb: float | None  # largest resident memory of a process that loads it and makes sound
    max_error: float  # against fp32, normalised units, on the model's own latents


@dataclass(frozen=True)
class DecoderFigures:
    """The decoder alone, one way of running it."""

    variant: Variant
    threads: int
    chunk: int  # latent frames
    real_time_factor: float
    same_samples: bool  # bit-equal to one thread on the model's own grid


@dataclass(frozen=True)
class Figures:
    variants: list[VariantFigures]
    decoder: list[DecoderFigures]
    best: Choice
    why: str


def measure(bundle: Bundle, allow_int8: bool = False, rounds: int = _ROUNDS) -> Figures:
    """Measure a bundle, which takes ten to twenty seconds. `allow_int8`: it may be chosen as the best."""
    loading: dict[Variant, float] = {}
    models: dict[Variant, Model] = {}
    for variant in bundle.sidecar.variants:
        started = time.perf_counter()
        models[variant] = Model(bundle, device="cpu", variant=variant)
        loading[variant] = (time.perf_counter() - started) * 1e3
    latents = _latents(models["fp32"])
    whole = _whole_path(models, rounds)
    first = _first_blocks(models, rounds)
    truth = models["fp32"]._decoder.normalised(latents)
    rows = [VariantFigures(
        variant, entry.bytes if (entry := bundle.sidecar.file(DECODERS[variant])) else None,
        {q: round(_SECONDS / whole[variant, q], 1) for q in QUALITIES},
        {q: round(first[variant, q] * 1e3, 1) for q in QUALITIES}, round(loading[variant], 1),
        _memory(bundle, variant),
        float(f"{np.abs(model._decoder.normalised(latents) - truth).max():.2g}")) for variant, model in models.items()]
    decoder = _decoders(bundle, models, latents, rounds)
    variant = choose(rows, {1: 1.0}, allow_int8)[0].variant
    best, why = choose(rows, _threads(bundle, models[variant], decoder, rounds), allow_int8)
    return Figures(rows, decoder, best, why)


def choose(variants: list[VariantFigures], threads: dict[int, float], allow_int8: bool) -> tuple[Choice, str]:
    """The best way to run the model, and why.

    threads: real-time factor of the whole path by number of threads, only of those that give the samples of one.
    """
    speeds = {row.variant: row.real_time_factor["balanced"] for row in variants}
    variant: Variant = "fp32"
    why = "fp32: the full sound"
    if "int8" in speeds:
        gain = speeds["int8"] / speeds["fp32"]
        if gain <= _WORTH_IT:
            why += f"; int8 is {gain:.2f} times as fast here"
        elif allow_int8:
            variant, why = "int8", f"int8, as allowed: {gain:.2f} times as fast as fp32"
        else:
            why += f"; int8 is {gain:.2f} times as fast and sounds a little different: --allow-int8 lets it win"
    fastest = max(threads, key=lambda count: threads[count])
    gain = threads[fastest] / threads[1]
    if gain <= _WORTH_IT:
        fastest = 1
    else:
        why += f"; {fastest} threads make the same samples {gain:.2f} times as fast as one"
    return Choice(variant=variant, threads=fastest), why


Key = TypeVar("Key", bound=Hashable)


def medians(tasks: Mapping[Key, Callable[[], object]], rounds: int,
            clock: Callable[[], float] = time.perf_counter) -> dict[Key, float]:
    """Median seconds of each task by `clock`, the tasks taken in turns after one round that does not count."""
    times: dict[Key, list[float]] = {key: [] for key in tasks}
    for turn in range(rounds + 1):
        for key, task in tasks.items():
            started = clock()
            task()
            if turn:
                times[key].append(clock() - started)
    return {key: median(values) for key, values in times.items()}


def _whole_path(models: dict[Variant, Model], rounds: int) -> dict[tuple[Variant, str], float]:
    return medians({(v, q): partial(model.generate, _SECONDS, seed=1, quality=q)
                    for v, model in models.items() for q in QUALITIES}, rounds)


def _threads(bundle: Bundle, one: Model, decoder: list[DecoderFigures], rounds: int) -> dict[int, float]:
    """Real-time factor of the whole path, quality balanced, for one thread and the most promising other number."""
    grid = bundle.sidecar.chunking.recommended_chunk
    rivals = [row for row in decoder if row.variant == one.variant and row.chunk == grid and row.same_samples]
    count = max(rivals, key=lambda row: row.real_time_factor).threads
    models = {1: one, count: Model(bundle, device="cpu", variant=one.variant, threads=count)}
    times = medians({n: partial(model.generate, _SECONDS, seed=1) for n, model in models.items()}, rounds)
    return {n: _SECONDS / spent for n, spent in times.items()}


def _first_blocks(models: dict[Variant, Model], rounds: int) -> dict[tuple[Variant, str], float]:
    return medians({(v, q): partial(_first_block, model, q) for v, model in models.items() for q in QUALITIES}, rounds)


def _first_block(model: Model, quality: Quality) -> Array:
    return next(model.stream(seed=1, quality=quality, block=_BLOCK))


def _decoders(bundle: Bundle, models: dict[Variant, Model], latents: Array, rounds: int) -> list[DecoderFigures]:
    grid = bundle.sidecar.chunking.recommended_chunk
    ways: dict[tuple[Variant, int, int], ChunkDecoder] = {}
    for variant, model in models.items():
        for chunk in sorted({*_CHUNKS, grid}):
            ways[variant, 1, chunk] = model._decoder
        for threads in _thread_counts():
            ways[variant, threads, grid] = Model(bundle, device="cpu", variant=variant, threads=threads)._decoder
    times = medians({way: partial(decoder.normalised, latents, way[2]) for way, decoder in ways.items()}, rounds)
    truth = {variant: model._decoder.normalised(latents) for variant, model in models.items()}
    seconds = latents.shape[1] / bundle.sidecar.latent.rate_hz
    return [DecoderFigures(variant, threads, chunk, round(seconds / times[variant, threads, chunk], 1),
                           _same(decoder, latents, chunk, models[variant]._decoder, truth[variant]))
            for (variant, threads, chunk), decoder in ways.items()]


def _same(decoder: ChunkDecoder, latents: Array, chunk: int, reference: ChunkDecoder, truth: Array) -> bool:
    """Whether a way of decoding gives the very same numbers, at a length with a full last chunk and at odd ones."""
    if not np.array_equal(decoder.normalised(latents, chunk), truth):
        return False
    odd = [latents[:, :n] for n in (1, 2, 65, 131)]
    return all(np.array_equal(decoder.normalised(part, chunk), reference.normalised(part)) for part in odd)


def _thread_counts() -> list[int]:
    """2, 4, ... up to the processors there are, eight at most: a small decoder has no work for more."""
    most = min(8, cores())
    return sorted({n for n in (2, 4, 8, most) if 1 < n <= most})


def _latents(model: Model) -> Array:
    """Four seconds of the model's own latents, [latent_dim, latent_frames]."""
    from .knobs import Knobs

    frames = round(_SECONDS * model.spec.frame_rate_hz)
    pieces = list(model.latents(Knobs(seed=1), frames))
    return np.ascontiguousarray(np.concatenate(pieces, axis=1), np.float32)


_PROBE = """
import sys, json, distill
model = distill.load(sys.argv[1], device="cpu", variant=sys.argv[2])
model.generate(2.0, seed=1)
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _memory(bundle: Bundle, variant: Variant) -> float | None:
    """Largest resident memory, MB, of a fresh process that makes sound; None where the system does not tell."""
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE, str(bundle.path), variant], capture_output=True,
                              text=True, timeout=120, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, the others kilobytes
        return round(int(json.loads(done.stdout)) * unit / 1e6, 1)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
