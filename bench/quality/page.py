"""docs/quality.md and the README's block, out of the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from distill.errors import FileError

from . import aims
from .measure import COLUMNS, Column, Values
from .results import Results, Row, Training, category_means, means, systems
from .round_trip import SHAPES

BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"
BASELINE = "distill fast, 384 bands"  # whose cost is 1
_SUMMARY = ("lsd", "sc", "log_l1", "attack", "flux", "level")
_NONE = "–"
_RATIOS = ("lsd", "sc", "log_l1", "attack")
_SHORT = ("distill balanced, 384 bands", "public scheme, 128 bands", "public scheme, mended, 128 bands",
          "Griffin-Lim, 384 bands")

_INTRODUCTION = """\
# How much of a recording survives

Written by `python -m bench.quality` (`make bench-quality`; `make bench-models` for the models) out of what it measured;
do not edit it by hand. Recordings are taken at their own level, mixed to mono and resampled to 48 kHz; of each, the
first seconds only. Figures are means over the recordings of a category. How good *generated* sound is, rather than a
recording given back, is another question: {generation}.
"""

_SCHEMES = """\
## What is compared

* **distill**: `distill.synthesize(distill.analyze(audio))`, two channels of 384 bands, n_fft 2048, hop 512, at the
  three qualities; and `balanced` with 128 bands, as many numbers as the public scheme.
* **linear bins**: magnitude and phase difference of all 1025 bins, no bands. It shows that the bench loses nothing
  itself, and that bands are what costs.
* **public scheme**: the two-channel mel spectrogram in public use: 128 mel bands (HTK), ln(1 + power), wrapped phase
  differences averaged over each band; summed over time in the mel domain, both channels inverted by non-negative least
  squares, the magnitude after its root. *Mended* is the same two channels with the best way back that we found: the
  root after the inverse of power, each bin turning as its nearest band does, neighbours half a turn apart.
* **Griffin-Lim**: mel power alone, by torchaudio's `InverseMelScale` and `GriffinLim` (32 iterations): what a model
  without a second channel has to do.
"""

_ROUND_TRIP = f"""\
## Round trip: analysis and synthesis, no model

Mean of the categories. Numbers are those that a second of sound is turned into; cost is the CPU time of synthesis as a
multiple of that of `{BASELINE}`, all in the same run. The best figure of a column is bold.
"""

_MODELS = """\
## With a trained model between

What is held out was never trained on, nor any copy of it; the split is by recording and the same for all. Of ours, the
weights that did best on it are taken (at the end, their average, or an earlier one), as `distill-train` always does; of
the others, the last. *no model* is the round trip of the same recordings: the ceiling of the models on it. Cost is what
decoding and synthesis take as a multiple of `distill.synthesize` at `fast`. The best figure of a budget is bold.

* **distill model**: trained with `distill-train`, exported with `distill-export`, run by the runtime:
  `model.synthesize(model.encode(audio, 48000))`, quality `balanced`. Its time is that of a clock on the wall, so what
  else the machine did meanwhile cost it steps; making spectrograms of the copies is part of it.
* **public scheme model**: a network of our blocks, 256 wide, 128 latents, with the copies, batches and schedule of ours
  on the public scheme (128 bands, z-scored, L1 of both channels, random start, AdamW at 1e-3, KL weight 1e-4, linear
  end), its spectrograms made before its clock
  started. Played through the scheme's own way back and, *mended*, through the better one.
* **RAVE v2**: the networks, distances and optimiser of `acids-rave` 2.3.1 in its configuration v2, first phase (its
  discriminator begins at a million steps), batches of 4 crops of 32768 samples rather than 8 of 131072, which would
  leave it a handful of steps.

The time of the others is processor time, which other work on the machine does not rob: for each minute of ours, as many
minutes of it as ours has threads, all on one thread, where nothing is lost in waiting for another. Both are in their
favour.
"""
_MODEL_KEYS = ("lsd", "sc", "log_l1", "attack", "flux", "level", "pitch", "voicing", "peak", "cost")
_AIMED = "How `distill model` stands to what was aimed at:"


def write(results: Results, folder: Path) -> Path:
    """`quality.md` in `folder`, beside the pictures that `results` name. Raises FileError."""
    parts = [_INTRODUCTION.format(generation=_generation(folder)), _corpora(results), _definitions()]
    if results.of("round trip"):
        parts += [_SCHEMES, _round_trip(results)]
    if results.of("shapes"):
        parts.append(_shapes(results))
    if results.models:
        parts.append(_models(results))
    parts.append(_machine(results))
    path = folder / "quality.md"
    _write(path, "\n".join(part.rstrip("\n") + "\n" for part in parts))
    return path


def write_block(results: Results, readme: Path) -> bool:
    """Replace what stands between the markers of `readme`; False if it has none. Raises FileError."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        return False
    before, rest = text.split(BEGIN, 1)
    _write(readme, f"{before}{BEGIN}\n{block(results)}{END}{rest.split(END, 1)[1]}")
    return True


def block(results: Results) -> str:
    """The short table: LSD and spectral convergence, category by category."""
    rows = results.of("round trip")
    known = [name for name in _SHORT if name in systems(rows)]
    lines = ["| round trip, LSD dB / SC | " + " | ".join(known) + " |", "|---|" + "---|" * len(known)]
    for category in dict.fromkeys(row.category for row in rows):
        cells = []
        for name in known:
            values = means([r for r in rows if r.category == category and r.system == name])
            cells.append(f"{values['lsd']:.2f} / {values['sc']:.2f}")
        lines.append(f"| {category} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row], keys: Sequence[str] | None = None, first: str = "scheme") -> list[str]:
    """Markdown: one line a system, means over `rows`; the best figure of a column is bold, ceilings apart."""
    names = systems(rows)
    values = {name: means([row for row in rows if row.system == name]) for name in names}
    return _table(values, _columns(keys, list(values.values())), first)


def _table(values: dict[str, Values], columns: Sequence[Column], first: str,
           extra: dict[str, list[str]] | None = None, budgets: Mapping[str, str] | None = None) -> list[str]:
    """budgets: that of each line; lines compete with those of the same budget only."""
    heads = [c.heading for c in columns] + (extra or {}).get("", [])
    lines = [f"| {first} | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    league = {name: (budgets or {}).get(name, "") for name in values
              if "ceiling" not in name and "no model" not in name}
    for name, figures in values.items():
        cells = []
        for column in columns:
            cell = _cell(figures[column.key], column.digits)
            rivals = [values[other][column.key] for other in league if league[other] == league.get(name)]
            bold = cell != _NONE and cell == _cell(_best(column, rivals), column.digits)
            cells.append(f"**{cell}**" if bold else cell)
        lines.append(f"| {name} | " + " | ".join(cells + (extra or {}).get(name, [])) + " |")
    return lines


def _columns(keys: Sequence[str] | None, values: Sequence[Values]) -> list[Column]:
    """Those asked for that have a figure at all."""
    return [column for column in COLUMNS if (keys is None or column.key in keys)
            and any(math.isfinite(figures[column.key]) for figures in values)]


def _best(column: Column, values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return math.nan
    if column.best == "near 1":
        return min(known, key=lambda value: abs(math.log(max(value, 1e-9))))
    return min(known) if column.best == "low" else max(known)


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else _NONE


def _corpora(results: Results) -> str:
    lines = ["## Recordings", "", "| category | recordings | seconds | what |", "|---|---|---|---|"]
    lines += [f"| {name} | {facts['files']} | {facts['seconds']} | {facts['about']} |"
              for name, facts in results.categories.items()]
    return "\n".join(lines)


def _definitions() -> str:
    lines = ["## Measures", ""]
    lines += [f"* **{c.heading}** ({c.best} is good). {c.definition}" for c in COLUMNS]
    lines += ["", "Phase as such is not measured: no scheme but the ceiling stores where it began. SC and LSD tell "
              "different stories (what is loud, what is soft between it): read both."]
    return "\n".join(lines)


def _round_trip(results: Results) -> str:
    rows = results.of("round trip")
    lines = [_ROUND_TRIP]
    values = {name: category_means([r for r in rows if r.system == name]) for name in systems(rows)}
    base = _cost([r for r in rows if r.system == BASELINE])
    extra = {"": ["numbers/s", "cost"]}
    for name in values:
        own = [r for r in rows if r.system == name]
        extra[name] = [f"{own[0].numbers_per_second / 1000:.0f} k", _cell(_cost(own) / base, 1)]
    lines += _table(values, [c for c in COLUMNS if c.key in _SUMMARY], "scheme", extra)
    lines += ["", *_ratios(values)]
    for category in dict.fromkeys(row.category for row in rows):
        lines += ["", f"### {category}", "", *table([r for r in rows if r.category == category])]
        if category in results.pictures:
            file, caption = results.pictures[category]
            lines += ["", f"![{caption}]({file})", "", caption]
    return "\n".join(lines)


def _ratios(values: dict[str, Values]) -> list[str]:
    """What the summary says, in words that the figures write."""
    ours, others = _SHORT[0], [name for name in _SHORT[1:] if name in values]
    if ours not in values:
        return []
    return [f"Errors of `{name}` as multiples of those of `{ours}`: "
            + ", ".join(f"{c.heading} {values[name][c.key] / max(values[ours][c.key], 1e-9):.1f}"
                        for c in COLUMNS if c.key in _RATIOS) + "  "
            for name in others]


def _cost(rows: Sequence[Row]) -> float:
    """CPU ms per second of sound, over all rows; the median, since a stall falls on single recordings."""
    return float(np.median([row.cpu_ms_per_second for row in rows])) if rows else math.nan


def _shapes(results: Results) -> str:
    rows = results.of("shapes")
    lines = ["## Bands and window", "", "`balanced` with other numbers of bands and another window, by category: what "
             "stands behind the defaults."]
    chosen = [f"{bands} bands, {n_fft}/{n_fft // 4}" for bands, n_fft in SHAPES]
    for category in dict.fromkeys(row.category for row in rows):
        own = [r for r in rows if r.category == category and r.system in chosen]
        lines += ["", f"**{category}**", "", *table(own, first="shape")]
    return "\n".join(lines)


def _models(results: Results) -> str:
    lines = [_MODELS.rstrip("\n")]
    for category, facts in results.models.items():
        rows = sorted((row for row in results.rows if (row.part, row.category) == ("models", category)), key=_place)
        lines += ["", f"### {category}", "",
                  f"{facts['about']}. {facts['training']} recordings to train on, with {facts['copies']} copies of "
                  f"each at other pitches, and {facts['held_out']} held out; {facts['seconds']} seconds in all. The "
                  f"first {facts['seconds_each']:g} seconds of each are measured."]
        for split in ("held out", "training"):
            own = [row for row in rows if row.split == split]
            if own:
                count = len({row.file for row in own})
                lines += ["", f"{split.capitalize()} ({count} recording{'s' if count != 1 else ''}):", "",
                          *models_table(own)]
        if aimed := aims.table(category, rows):
            lines += ["", _AIMED, "", *aimed]
        trainings = sorted((t for t in results.trainings if t.category == category), key=_place)
        lines += ["", "| trained | steps | time | threads | |", "|---|---|---|---|---|", *map(_training, trainings)]
    return "\n".join(lines)


def models_table(rows: Sequence[Row]) -> list[str]:
    """Markdown: a line for each system and budget. Round trips whose figures do not depend on it have one line."""
    columns = _columns(_MODEL_KEYS, [means(rows)])
    values: dict[str, Values] = {}
    budgets: dict[str, str] = {}
    for system in systems(rows):
        own = {row.budget: means([r for r in rows if (r.system, r.budget) == (system, row.budget)])
               for row in rows if row.system == system}
        looks = {tuple(_cell(figures[c.key], c.digits) for c in columns if c.key != "cost") for figures in own.values()}
        for budget, figures in own.items():
            name = system if "no model" in system and len(looks) == 1 else f"{system}, {budget}"
            values[name], budgets[name] = figures, budget
    return _table(values, columns, "system", budgets=budgets)


def _place(item: Row | Training) -> tuple[int, bool, str, float]:
    """Where a line stands: systems that share a scheme together, its round trip first, budgets by size."""
    amount, unit = item.budget.split(" ", 1)
    schemes = ("distill", "public", "mended", "RAVE")
    return schemes.index(item.system.split()[0].rstrip(",")), "no model" not in item.system, unit, float(amount)


def _training(training: Training) -> str:
    clock = "" if training.clock == "wall" else " of processor time"
    return (f"| {training.system}, {training.budget} | {training.steps} | {training.seconds / 60:.1f} min{clock} | "
            f"{training.threads} | {training.about} |")


def _machine(results: Results) -> str:
    facts = "; ".join(f"{key} {value}" for key, value in results.machine.items())
    own = [r for r in results.of("round trip") if r.system == BASELINE]
    cost = f" `{BASELINE}` took {_cost(own):.1f} CPU ms per second of sound there." if own else ""
    return f"## Machine\n\n{facts}.{cost} Costs on a shared machine hold as ratios only."


def _generation(folder: Path) -> str:
    page = folder / "generation.md"
    return "[generation.md](generation.md)" if page.exists() else "`bench/generation` measures that"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror})") from None
