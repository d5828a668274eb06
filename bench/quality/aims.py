"""What the models are meant to reach, by category and budget, and whether they do.

The aims are for these kinds of recording: tonal (one instrument), drums, ambience (mixed).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import COLUMNS
from .results import MODEL, NO_MODEL, Row, means

RATIO = "ratio"  # of the training files' logL1 to the round trip's


@dataclass(frozen=True)
class Aim:
    """A bound for the mean over the held-out recordings; for RATIO, over the training recordings."""

    category: str
    budget: str
    measure: str  # a Column.key, or RATIO
    bound: float


AIMS = (
    *(Aim("tonal", "1 minute", *pair) for pair in (("lsd", 1.5), ("sc", 0.26), ("pitch", 0.98))),
    *(Aim("tonal", "10 minutes", *pair) for pair in (("lsd", 1.2), ("sc", 0.18), ("pitch", 0.99), (RATIO, 1.3))),
    *(Aim("drums", "1 minute", *pair) for pair in (("lsd", 3.2), ("sc", 0.50), ("flux", 0.62))),
    *(Aim("drums", "10 minutes", *pair) for pair in (("lsd", 2.8), ("sc", 0.40), ("flux", 0.68), (RATIO, 1.3))),
    *(Aim("ambience", "10 minutes", *pair) for pair in (("lsd", 3.0), (RATIO, 1.5))),
)
_COLUMNS = {column.key: column for column in COLUMNS}


def table(category: str, rows: Sequence[Row]) -> list[str]:
    """Markdown: a line for each measure that has an aim in this category, its budgets side by side; [] if none has."""
    aims = [aim for aim in AIMS if aim.category == category]
    budgets = [budget for budget in dict.fromkeys(aim.budget for aim in AIMS)
               if any(row.budget == budget and row.system == MODEL for row in rows)]
    if not aims or not budgets:
        return []
    heads = [head for budget in budgets for head in (budget, "aim", "")]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for measure in dict.fromkeys(aim.measure for aim in aims):
        heading, digits = _named(measure)
        cells = []
        for budget in budgets:
            value = _measured([row for row in rows if row.budget == budget], measure)
            aim = next((aim for aim in aims if (aim.budget, aim.measure) == (budget, measure)), None)
            cells.append(f"{value:.{digits}f}" if math.isfinite(value) else "–")
            cells += [f"{aim.bound:.{digits}f}", _verdict(measure, value, aim.bound)] if aim else ["–", ""]
        lines.append(f"| {heading} | " + " | ".join(cells) + " |")
    return lines


def _named(measure: str) -> tuple[str, int]:
    """Its heading and its digits."""
    if measure == RATIO:
        return "training files: logL1 over the round trip's", 2
    return f"held out: {_COLUMNS[measure].heading}", _COLUMNS[measure].digits


def _measured(rows: Sequence[Row], measure: str) -> float:
    """Of our model, over `rows` of one category and budget; NaN where it was not measured."""
    if measure != RATIO:
        return means([row for row in rows if (row.system, row.split) == (MODEL, "held out")])[measure]
    model, floor = (means([row for row in rows if (row.system, row.split) == (name, "training")])["log_l1"]
                    for name in (MODEL, NO_MODEL))
    return model / max(floor, 1e-9)


def _verdict(measure: str, value: float, bound: float) -> str:
    if not math.isfinite(value):
        return "not measured"
    high = measure != RATIO and _COLUMNS[measure].best == "high"
    return "reached" if (value >= bound if high else value <= bound) else "not reached"
