"""One run of the bench: what the options ask for, in order, kept after every category."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from distill.errors import InvalidValue

from . import page
from .models import (
    System,
    Trained,
    known,
    measure_models,
    own_systems,
    parse_budget,
    recordings,
    train_and_export,
    training_sounds,
)
from .recordings import Recording, parse_categories, sample
from .results import Results
from .round_trip import measure_schemes, measure_shapes
from .schemes import ours, references

ROOT = Path(__file__).resolve().parents[2]
DEMO = {"tonal": "vibraphone notes (`corpus/demo`; CC0 1.0)"}
PICTURED = ("distill balanced, 384 bands", "public scheme, 128 bands")

Categories = Mapping[str, Sequence[Path]]


def run(options: argparse.Namespace) -> None:
    """Raises DistillError."""
    if not options.seconds > 0:
        raise InvalidValue(f"seconds is {options.seconds:g}; it must be a number above 0")
    if options.models:
        parse_budget(options.models)
    torch.set_num_threads(options.threads)
    categories = parse_categories(options.categories or [f"tonal={ROOT / 'corpus' / 'demo'}"])
    kept = options.results or options.docs / "quality.json"
    results = Results() if options.fresh else Results.load(kept)
    about = _about(options, categories, results)
    results.machine = _machine(options.threads)
    if not options.skip_round_trip:
        for name, folders in categories.items():
            recordings = sample(folders, options.files, options.seconds)
            results.categories[name] = {"about": about[name], "files": len(recordings),
                                        "seconds": round(sum(r.seconds for r in recordings), 1)}
            _round_trip(name, recordings, options, results)
            results.save(kept)
    for trained in _trained(categories, options):
        _models(trained, about, options, results)
        results.save(kept)
    results.save(kept)
    print(page.write(results, options.docs))
    if options.readme and not page.write_block(results, options.readme):
        tell(f"{options.readme} has no {page.BEGIN} and {page.END}; left as it was")


def tell(text: str) -> None:
    """What is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _about(options: argparse.Namespace, categories: Categories, results: Results) -> dict[str, str]:
    """What each category is: as told now, else as told in an earlier run."""
    told = {name: facts["about"] for name, facts in [*results.models.items(), *results.categories.items()]}
    about = {name: told.get(name, "not described") for name in categories} if options.categories else dict(DEMO)
    for word in options.about:
        name, equals, text = word.partition("=")
        if not equals or name not in categories:
            raise InvalidValue(f"about is {word!r}; it must be NAME=TEXT with one of {', '.join(categories)}")
        about[name] = text
        for facts in (results.categories, results.models):
            if name in facts:
                facts[name]["about"] = text
    return about


def _round_trip(name: str, recordings: Sequence[Recording], options: argparse.Namespace, results: Results) -> None:
    from .pictures import draw

    schemes = {scheme.name: scheme for scheme in [*ours(), *references()]}
    rows = measure_schemes(name, recordings, list(schemes.values()), not options.no_pitch, tell)
    results.put("round trip", name, rows)
    if options.shapes:
        results.put("shapes", name, measure_shapes(name, recordings, tell))
    # The recording that is neither the best nor the worst for us.
    ranked = sorted((row.values["lsd"], index) for index, row in enumerate(r for r in rows if r.system == PICTURED[0]))
    shown = recordings[ranked[len(ranked) // 2][1]]
    panels = [("original", shown.sound)]
    for title in PICTURED:
        scheme = schemes[title]
        panels.append((title, scheme.synthesize(scheme.analyze(shown.sound), len(shown.sound))))
    file = f"quality-{name}.png"
    draw(panels, options.docs / file)
    results.pictures[name] = (file, f"Round trip of `{shown.path.name}`, the recording of median LSD: the original, "
                              f"{PICTURED[0]}, {PICTURED[1]}.")


def _trained(categories: Categories, options: argparse.Namespace) -> list[Trained]:
    work = ROOT / "build" / "quality"
    trained = [known(categories, *pair) for pair in options.bundle]
    if options.models:
        for name, folders in categories.items():
            tell(f"models: training {name}, {options.models}")
            trained.append(train_and_export(name, folders, options.models, work, options.threads))
    return trained


def _models(trained: Trained, about: Mapping[str, str], options: argparse.Namespace, results: Results) -> None:
    name, notes = trained.category, []
    cases = recordings(trained, options.files, options.seconds)
    systems: list[System] = own_systems(trained)
    if options.public_vae or options.rave:
        sounds, seconds = training_sounds(trained), trained.checkpoint.elapsed_seconds
    if options.public_vae:
        from . import public_vae

        tell(f"models: training a VAE on the public scheme for {seconds:.0f} s")
        systems += [public_vae.trip(), vae := public_vae.train(sounds, trained.checkpoint, seconds)]
        notes.append(f"{public_vae.NOTE} {vae.steps} steps.")
    if options.rave:
        from . import rave_v2

        tell(f"models: training RAVE v2 for {seconds:.0f} s")
        systems.append(peer := rave_v2.train(sounds, [case for _, case in cases], seconds, options.threads,
                                          options.rave_python, ROOT / "build" / "quality"))
        notes.append(f"{rave_v2.NOTE} {peer.steps} steps.")
    results.put("models", name, measure_models(name, cases, systems, not options.no_pitch, tell))
    results.models[name] = {**trained.facts(), "about": about[name], "threads": options.threads, "notes": notes}


def _machine(threads: int) -> dict[str, str]:
    """What a reader needs to judge the costs by."""
    return {"Python": platform.python_version(), "numpy": version("numpy"), "torch": version("torch"),
            "onnxruntime": version("onnxruntime"), "machine": f"{platform.machine()}, {_processor()}",
            "threads": str(threads)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
