"""The figures of the bench, kept as JSON between runs, and what is wanted of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from distill.errors import FileError

Values = dict[str, float]

WANTED: dict[str, tuple[float, float]] = {  # lowest and highest, of a model's defaults
    "ratio": (0.0, 1.5), "precision": (0.9, 1.0), "flux": (0.9, 1.1), "level": (-1.0, 1.0),
}
DEFAULTS = "defaults"


@dataclass
class Measured:
    """One model beside its corpus. rows: by setting, the first ones are references and not the model's sound."""

    recordings: int
    seconds: float
    steps: int  # of training
    minutes: float  # of sound behind each row
    rows: dict[str, Values]


@dataclass
class Results:
    """By name of the model."""

    models: dict[str, Measured] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Raises FileError."""
        plain = {name: {**asdict(model), "rows": {row: {key: float(f"{value:.4g}") for key, value in values.items()}
                                                  for row, values in model.rows.items()}}
                 for name, model in self.models.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise FileError(f"{path}: cannot be written ({error.strerror})") from None

    @classmethod
    def load(cls, path: Path) -> Results:
        """What is in the file, or nothing yet. Raises FileError for a file that is not ours."""
        if not path.exists():
            return cls()
        try:
            return cls({name: Measured(**model) for name, model in json.loads(path.read_text()).items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise FileError(f"{path}: not the results of an earlier run ({error}); delete it to start anew") from None


def missed(values: Mapping[str, float]) -> list[str]:
    """The keys of a model's figures that are not as wanted; seams by more than two standard errors."""
    wrong = [key for key, (low, high) in WANTED.items() if not low <= values[key] <= high]
    return wrong + (["seams"] if values["seams"] > 2 * values["seams_error"] else [])
