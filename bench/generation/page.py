"""The tables, and the part of docs/generation.md that they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distill.errors import FileError

from .results import DEFAULTS, WANTED, Measured, Results, missed

BEGIN, END = "<!-- generation:begin -->", "<!-- generation:end -->"
HEAD = ("| | Frechet | over half/half | precision | flux | level, dB | seams, dB | nearest |\n"
        "|---|---|---|---|---|---|---|---|")
_KEYS = ("frechet", "ratio", "precision", "flux", "level", "seams", "nearest")


def tables(results: Results) -> str:
    """Markdown: the defaults of every model beside what is wanted, then all settings of each model."""
    lines = ["Defaults, a line a model; bold: not as wanted.\n", HEAD, wanted_row()]
    lines += [row(f"{name} ({about(model)})", model.rows[DEFAULTS], judged=True)
              for name, model in results.models.items() if DEFAULTS in model.rows]
    for name, model in results.models.items():
        lines += [f"\n{name}: {about(model)}, {model.minutes:g} minutes of sound a line.\n", HEAD]
        lines += [row(setting, values) for setting, values in model.rows.items()]
    return "\n".join(lines)


def about(model: Measured) -> str:
    return f"{model.recordings} recordings, {model.seconds:.0f} s, {model.steps} steps"


def wanted_row() -> str:
    (_, ratio), (precision, _), flux, level = (WANTED[key] for key in ("ratio", "precision", "flux", "level"))
    return (f"| wanted | | at most {ratio:g} | at least {precision:g} | {flux[0]:g} to {flux[1]:g} | "
            f"{level[0]:+g} to {level[1]:+g} | at most 0 ± 2 errors | |")


def row(name: str, values: Mapping[str, float], judged: bool = False) -> str:
    """A line of a table; `judged` marks what is not as wanted."""
    cells = {key: f"{values[key]:.2f}" for key in ("frechet", "ratio", "precision", "flux", "nearest")}
    cells["level"] = f"{values['level']:+.1f}"
    cells["seams"] = f"{values['seams']:+.2f} ± {values['seams_error']:.2f}" if "seams" in values else ""
    for key in missed(values) if judged else ():
        cells[key] = f"**{cells[key]}**"
    return f"| {name} | {' | '.join(cells[key] for key in _KEYS)} |"


def write(results: Results, page: Path) -> None:
    """Put the tables between the marks of a page. Raises FileError."""
    try:
        text = page.read_text()
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        page.write_text(f"{before}{BEGIN}\n{tables(results)}\n{END}{after}")
    except OSError as error:
        raise FileError(f"{page}: cannot be written ({error.strerror})") from None
    except ValueError:
        raise FileError(f"{page}: must hold {BEGIN} and {END} once each") from None
