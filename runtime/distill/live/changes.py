"""A control line, or an OSC message, as changes.

    slider NAME VALUE     weight NAME VALUE     wander VALUE     preset NAME     seed NUMBER

or one JSON object with the same words: {"slider": {"brightness": 3}, "weight": {"bells": 0.2}, "wander": 0.5}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distill.errors import InvalidValue
from distill.suggest import did_you_mean

What = Literal["slider", "weight", "wander", "preset", "seed"]

FORMS: dict[What, str] = {
    "slider": "slider NAME VALUE", "weight": "weight NAME VALUE", "wander": "wander VALUE", "preset": "preset NAME",
    "seed": "seed NUMBER"}
LONGEST_LINE = 4096  # bytes
_LONGEST_NUMBER = 19  # digits: those of 2^63, which is more than any seed; Python refuses to read 4301
_SHOWN = 60  # characters of a line that is not understood


@dataclass(frozen=True)
class Change:
    """One control and where it is to go."""

    what: What
    name: str = ""  # of the slider, the model or the preset
    value: float = 0.0


def parse_line(line: str) -> tuple[Change, ...]:
    """One line -> its changes; none for an empty line or a comment (#). Raises InvalidValue, with what can be said."""
    text = line.strip()
    if not text or text.startswith("#"):
        return ()
    if len(text) > LONGEST_LINE:
        raise InvalidValue(f"control line of {len(text)} characters; at most {LONGEST_LINE}")
    if text.startswith("{"):
        return _from_json(text)
    word, *rest = text.split()
    return (change_of(word, rest),)


def change_of(word: str, rest: Sequence[Any]) -> Change:
    """A word and what follows it, as text or numbers -> a change. Raises InvalidValue."""
    said = _shown(" ".join([word, *map(str, rest)]))
    if word not in FORMS:
        raise InvalidValue(f"control {said!r}: unknown{did_you_mean(word, FORMS)}; there are "
                           f"{', '.join(FORMS.values())}")
    form = FORMS[word]
    wrong = InvalidValue(f"control {said!r}: must be {form}")
    match word:
        case "slider" | "weight":
            if len(rest) < 2:
                raise wrong
            return Change(word, " ".join(map(str, rest[:-1])), _number(rest[-1], said, form))
        case "wander":
            if len(rest) != 1:
                raise wrong
            return Change(word, value=_number(rest[0], said, form))
        case "seed":
            if len(rest) != 1 or not str(rest[0]).isdecimal() or len(str(rest[0])) > _LONGEST_NUMBER:
                raise wrong
            return Change(word, str(int(str(rest[0]))))
        case _:
            if not rest:
                raise wrong
            return Change("preset", " ".join(map(str, rest)))


def _from_json(text: str) -> tuple[Change, ...]:
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"control {_shown(text)!r}: not JSON ({error})") from None
    changes = []
    for word, value in said.items():
        if word in ("slider", "weight"):
            if not isinstance(value, dict):
                raise InvalidValue(f"control {_shown(text)!r}: {word} must be an object of names and values")
            changes += [change_of(word, (name, number)) for name, number in value.items()]
        else:
            changes.append(change_of(word, (value,)))
    return tuple(changes)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key stands twice")
    return keys


def _number(value: object, said: str, form: str) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValue(f"control {said!r}: {_shown(str(value))!r} is not a finite number; must be {form}")
    return number


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
