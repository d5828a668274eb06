"""The figures of a bench, kept as JSON between runs: one row for each recording and each attempt at it.

A run replaces the rows that it measures anew and leaves the others, so the page can be put together from several: of
a category's round trip all, of its models those systems that it trained, each at its budget.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import FileError, InvalidValue

from .measure import COLUMNS, Values

MODEL, NO_MODEL = "distill model", "distill, no model"  # of Row.system: ours, and the round trip of its spectrograms


@dataclass(frozen=True)
class Row:
    """One attempt at one recording."""

    part: str  # "round trip" | "shapes" | "models"
    category: str
    split: str  # "training" | "held out" for models, else ""
    system: str
    file: str  # name, without folders
    numbers_per_second: float
    cpu_ms_per_second: float  # of synthesis
    values: Values
    budget: str = ""  # of models: "10 minutes", "300 steps"


@dataclass(frozen=True)
class Training:
    """What a model took. Its `seconds` are those of a clock on the wall, or of processor time."""

    category: str
    budget: str
    system: str
    steps: int
    seconds: float
    clock: str  # "wall" | "processor"
    threads: int
    about: str = ""


@dataclass
class Results:
    """Rows, and what is to be said about categories and models."""

    rows: list[Row] = field(default_factory=list)
    categories: dict[str, dict[str, Any]] = field(default_factory=dict)  # about, files, seconds
    models: dict[str, dict[str, Any]] = field(default_factory=dict)  # facts of the corpus and its split, by category
    trainings: list[Training] = field(default_factory=list)
    pictures: dict[str, tuple[str, str]] = field(default_factory=dict)  # by category: file beside the page, caption
    machine: dict[str, str] = field(default_factory=dict)

    def put(self, part: str, category: str, rows: Iterable[Row]) -> None:
        """Replace what is known of this part of this category."""
        self.rows = [r for r in self.rows if (r.part, r.category) != (part, category)] + list(rows)

    def put_models(self, rows: Sequence[Row], trainings: Sequence[Training]) -> None:
        """Replace what is known of these systems at these budgets; other systems and other budgets stay."""
        new = {(row.category, row.budget, row.system) for row in rows}
        self.rows = [r for r in self.rows if r.part != "models" or (r.category, r.budget, r.system) not in new]
        self.trainings = [t for t in self.trainings if (t.category, t.budget, t.system) not in new]
        self.rows += rows
        self.trainings += trainings

    def check_models(self, category: str, facts: Mapping[str, Any], files: set[tuple[str, str]]) -> None:
        """Raise InvalidValue unless what is kept of a category's models was measured on these (split, file), with
        these facts: what stands side by side must be of the same recordings."""
        kept = {(row.split, row.file) for row in self.rows if row.part == "models" and row.category == category}
        before = self.models.get(category, facts)
        same = all(before[key] == value for key, value in facts.items() if key != "about")
        if kept and not (same and kept == files):
            raise InvalidValue(f"the models of {category} were measured on other recordings, or on another length of "
                               "them; take the same folders, --files and --seconds, or forget all figures by --fresh")

    def of(self, part: str, category: str | None = None, split: str = "") -> list[Row]:
        return [r for r in self.rows if r.part == part and r.category == (category or r.category) and r.split == split]

    def save(self, path: Path) -> None:
        """Raises FileError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._text())
        except OSError as error:
            raise FileError(f"{path}: cannot be written ({error.strerror})") from None

    def _text(self) -> str:
        """JSON, one row a line."""
        content = _plain(asdict(self))
        for row in content["rows"]:
            if not row["budget"]:
                del row["budget"]
        rows = ",\n".join(json.dumps(row, allow_nan=False) for row in content.pop("rows"))
        rest = json.dumps(content, indent=1, allow_nan=False)
        return f'{{"rows": [\n{rows}\n],{rest[1:]}\n'

    @classmethod
    def load(cls, path: Path) -> Results:
        """What is in the file, or nothing yet. Raises FileError for a file that is not ours."""
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text())
            rows = [Row(**{**row, "values": {k: math.nan if v is None else v for k, v in row["values"].items()}})
                    for row in content.pop("rows")]
            trainings = [Training(**training) for training in content.pop("trainings", [])]
            return cls(rows=rows, trainings=trainings, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FileError(f"{path}: not the results of an earlier run ({error}); --fresh starts anew") from None


def systems(rows: Sequence[Row]) -> list[str]:
    """Their systems, in the order in which they came."""
    return list(dict.fromkeys(row.system for row in rows))


def means(rows: Sequence[Row]) -> Values:
    """The mean of each measure over `rows`; NaN where no row has it."""
    result = {}
    for column in COLUMNS:
        values = np.array([row.values.get(column.key, math.nan) for row in rows])
        values = np.abs(values) if column.absolute else values
        known = values[np.isfinite(values)]
        result[column.key] = float(known.mean()) if len(known) else math.nan
    return result


def category_means(rows: Sequence[Row]) -> Values:
    """The mean over categories of their means, so that a category counts the same however many files it has."""
    names = dict.fromkeys(row.category for row in rows)
    each = [means([row for row in rows if row.category == name]) for name in names]
    result = {}
    for column in COLUMNS:
        known = [values[column.key] for values in each if math.isfinite(values[column.key])]
        result[column.key] = float(np.mean(known)) if known else math.nan
    return result


def _plain(value: Any) -> Any:
    """As JSON has it: no NaN, and no more digits than mean something."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
