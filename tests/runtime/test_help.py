"""Every command, however deep, shows how it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from distill.cli.commands import app


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if len(words) > 1:
        yield " ".join(words), command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


FOUND = dict(commands(typer.main.get_command(app), ("distill",)))


def test_they_are_all_here() -> None:
    assert {"distill generate", "distill again", "distill models add", "distill models remove", "distill models search",
            "distill models show", "distill presets save", "distill presets list", "distill presets show",
            "distill presets rename", "distill presets delete"} <= set(FOUND)


@pytest.mark.parametrize("words", FOUND)
def test_help_has_an_example(words: str) -> None:
    assert f"Example: {words}" in (FOUND[words].help or ""), f"{words} --help has no example"


@pytest.mark.parametrize("words", FOUND)
def test_every_option_is_explained(words: str) -> None:
    for parameter in FOUND[words].params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{words} {parameter.opts[0]} has no help"


@pytest.mark.parametrize("words", [(), ("presets",)])
def test_a_command_without_its_command_shows_its_help(words: tuple[str, ...], here: Any) -> None:
    done = here(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Usage: distill") and "\n  --help " in done.stderr and "completion" not in done.stderr
