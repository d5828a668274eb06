"""One run of the bench: what the options ask for, in order, kept after every category."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from distill.errors import InvalidValue
from distill_train.checkpoint import load_checkpoint
from distill_train.schedule import Budget

from . import page
from .division import Division, divide, division_of
from .models import Cases, System, Trained, label, measure_models, parse_budget, recordings, train_and_export
from .peers import check_peers, train_peers
from .recordings import Recording, parse_categories, sample
from .results import Results, Training
from .round_trip import measure_schemes, measure_shapes
from .schemes import ours, references

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "quality"
DEMO = {"tonal": "vibraphone notes (`corpus/demo`; CC0 1.0)"}
PICTURED = ("distill balanced, 384 bands", "public scheme, 128 bands")

Categories = Mapping[str, Sequence[Path]]


def run(options: argparse.Namespace) -> None:
    """Raises DistillError."""
    if not options.seconds > 0:
        raise InvalidValue(f"seconds is {options.seconds:g}; it must be a number above 0")
    budgets = [parse_budget(word) for word in options.models]
    check_peers(options)
    torch.set_num_threads(1)
    categories = parse_categories(options.categories or [f"tonal={ROOT / 'corpus' / 'demo'}"])
    kept = options.results or options.docs / "quality.json"
    results = Results() if options.fresh else Results.load(kept)
    about = _about(options, categories, results)
    results.machine = _machine()
    if not options.skip_round_trip:
        for name, folders in categories.items():
            recordings = sample(folders, options.files, options.seconds)
            results.categories[name] = {"about": about[name], "files": len(recordings),
                                        "seconds": round(sum(r.seconds for r in recordings), 1)}
            _round_trip(name, recordings, options, results)
            results.save(kept)
    _models(categories, about, budgets, options, results, kept)
    results.save(kept)
    results = Results.load(kept)  # the page is made of the digits that are kept
    print(page.write(results, options.docs))
    if options.readme and not page.write_block(results, options.readme):
        tell(f"{options.readme} has no {page.BEGIN} and {page.END}; left as it was")


def tell(text: str) -> None:
    """What is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _about(options: argparse.Namespace, categories: Categories, results: Results) -> dict[str, str]:
    """What each category is: as told now, else as told in an earlier run. Models may have recordings of their own."""
    kept = results.models if options.skip_round_trip else results.categories
    told = {name: facts["about"] for name, facts in kept.items()}
    about = {name: told.get(name, "not described") for name in categories} if options.categories else dict(DEMO)
    for word in options.about:
        name, equals, text = word.partition("=")
        if not equals or name not in categories:
            raise InvalidValue(f"about is {word!r}; it must be NAME=TEXT with one of {', '.join(categories)}")
        about[name] = text
        if name in kept:
            kept[name]["about"] = text
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


def _models(categories: Categories, about: Mapping[str, str], budgets: Sequence[Budget], options: argparse.Namespace,
            results: Results, kept: Path) -> None:
    """Train and measure; every system is kept as soon as it is measured."""

    def measure(category: str, budget: Budget, cases: Cases, systems: Sequence[System],
                trainings: Sequence[Training]) -> None:
        results.put_models(
            measure_models(category, label(budget), cases, systems, not options.no_pitch, tell), trainings)
        results.save(kept)

    planned = []
    for division, existing in _divisions(categories, bool(budgets), options):
        name, cases = division.category, recordings(division, options.files, options.seconds)
        facts = {**division.facts(), "about": about[name], "seconds_each": options.seconds}
        results.check_models(name, facts, {(split, case.path.name) for split, case in cases})
        planned.append((division, existing, cases, facts))
    for division, existing, cases, facts in planned:
        name = division.category
        results.models[name] = facts
        for budget in [existing.budget] if existing else budgets:
            trained = existing
            if trained is None and not options.peers_only:
                tell(f"models: {name}, {label(budget)}: training ours")
                trained = train_and_export(division, budget, WORK, options.threads, options.size)
            if trained is not None:
                measure(name, budget, cases, trained.systems(), [trained.training(name)])
            for systems, trainings in train_peers(division, budget, [case for _, case in cases], options, WORK, tell):
                measure(name, budget, cases, systems, trainings)


def _divisions(categories: Categories, wanted: bool,
               options: argparse.Namespace) -> Iterator[tuple[Division, Trained | None]]:
    """What to train and measure on; and the model, where it exists already."""
    for run, bundle in options.bundle:
        trained = Trained(load_checkpoint(run), bundle, options.threads)
        yield division_of(trained.checkpoint, categories), trained
    if wanted:
        for name, folders in categories.items():
            yield divide(name, folders, WORK), None


def _machine() -> dict[str, str]:
    """What a reader needs to judge the costs by."""
    return {"Python": platform.python_version(), "numpy": version("numpy"), "torch": version("torch"),
            "onnxruntime": version("onnxruntime"), "machine": f"{platform.machine()}, {_processor()}",
            "threads": "1"}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
