"""One run of the bench: play each model at each setting, judge, print, keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import distill
from distill.errors import InvalidValue

from .ear import Floats, recordings_of
from .judge import Judge
from .page import HEAD, about, row, wanted_row, write
from .results import DEFAULTS, Measured, Results, Values, missed
from .seams import seam_energy

CLIP_SECONDS = 10.0  # what `generate` makes unless told otherwise


def run(pairs: Sequence[tuple[str, Path]], minutes: float, sweep: bool, folder: Path, docs: Path | None) -> None:
    """pairs: models and the folders of their recordings. Raises DistillError."""
    kept = (docs or folder) / "generation.json"
    results = Results.load(kept)
    for name, corpus in pairs:
        model = distill.load(name, device="cpu")
        results.models[model.name] = _measure(model, recordings_of(corpus, model.sample_rate), minutes, sweep)
        results.save(kept)
    if docs is not None:
        write(results, docs / "generation.md")


def _measure(model: distill.Model, recordings: list[Floats], minutes: float, sweep: bool) -> Measured:
    judge = Judge(recordings, model.sample_rate)
    found = Measured(len(recordings), sum(map(len, recordings)) / model.sample_rate, model.sidecar.provenance.steps,
                     minutes, {})
    print(f"{model.name}: {about(found)}; {minutes:g} minutes a line\n\n{HEAD}\n{wanted_row()}", flush=True)
    half = judge.baseline["frechet"]

    def put(name: str, values: Values, judged: bool = False) -> None:
        found.rows[name] = {**{key: float(value) for key, value in values.items()}, "ratio": values["frechet"] / half}
        print(row(name, found.rows[name], judged), flush=True)

    chunking, latent = model.sidecar.chunking, model.sidecar.latent
    hop = latent.frames_per_latent * model.spec.hop_length  # samples of a latent frame
    clips = max(1, round(minutes * 60 / CLIP_SECONDS))
    put("one half of the recordings beside the other", {**judge.baseline, "nearest": 1.0})
    put("the recordings, one after the other", judge.judge(_joined(recordings, clips, model.sample_rate)))
    put("the recordings, encoded and decoded",
        judge.judge([model.synthesize(model.encode(r, model.sample_rate), length=len(r)) for r in recordings]))
    for knobs in settings(sweep):
        try:
            made = [model.generate(CLIP_SECONDS, seed=seed, loudness="model", **knobs) for seed in range(clips)]
        except InvalidValue as error:  # a corpus in which nothing begins has no density
            print(f"| {error} |", flush=True)
            continue
        seams = seam_energy(made, chunking.recommended_chunk, hop, model.sample_rate)
        name = ", ".join(f"{key} {value}" for key, value in knobs.items()) or DEFAULTS
        put(name, {**judge.judge(made), "seams": seams.excess_db, "seams_error": seams.error_db}, judged=not knobs)
    wrong = missed(found.rows[DEFAULTS])
    print(f"\n{model.name}: {'not as wanted: ' + ', '.join(wrong) if wrong else 'all as wanted'}\n", flush=True)
    return found


def _joined(recordings: list[Floats], clips: int, sample_rate: int) -> list[Floats]:
    """The recordings in random orders, cut into as many clips: what following them without a break costs."""
    rng, size = np.random.default_rng(0), round(CLIP_SECONDS * sample_rate)
    parts: list[Floats] = []
    while sum(map(len, parts)) < clips * size:
        parts += [recordings[index] for index in rng.permutation(len(recordings))]
    whole = np.concatenate(parts)
    return [whole[start:start + size] for start in range(0, clips * size, size)]


def settings(sweep: bool) -> Iterator[dict[str, Any]]:
    """Knobs to compare."""
    yield {}
    if not sweep:
        return
    yield from ({"wander": w} for w in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0))
    yield from ({"jumps": j} for j in (0.0, 0.1, 1.0, 3.0))
    yield {"wander": 0.0, "jumps": 0.0}
    yield {"density": 2.0}
    yield {"mode": "crossfade"}
    yield {"mode": "interpolate"}
    yield from ({"mode": "vector", "evolution": e} for e in (0.0, 0.3, 1.0))
