"""Commands that are imported when they are called: `distill --help` needs only their names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, get_type_hints

import typer
import typer.core
import typer.main


class Commands(MutableMapping[str, Any]):
    """Name -> command, made when it is asked for.

    table: name -> (module, attribute, the first line of its help). The attribute is a function or a Typer app.
    """

    def __init__(self, package: str, table: dict[str, tuple[str, str, str]]) -> None:
        self._package, self.table = package, table
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, attribute, _ = self.table[name]
            found = getattr(import_module(f".{module}", self._package), attribute)
            if not isinstance(found, typer.Typer):
                # typer would evaluate the text of every annotation five times
                found.__annotations__ = get_type_hints(found, include_extras=True)
                app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
                app.command(name)(found)
                found = app
            self._made[name] = typer.main.get_command(found)
            self._made[name].name = name
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def group(commands: Commands) -> type[typer.core.TyperGroup]:
    """The class of a Typer app that has these commands."""

    class Group(typer.core.TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**{**settings, "commands": commands})

        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, text) for name, (_, _, text) in commands.table.items()])

    return Group


def first_line(command: Any) -> str:
    """What the table must say about a command: the first line of its help."""
    text = inspect.cleandoc(command.help or "") if hasattr(command, "help") else ""
    return text.splitlines()[0] if text else ""
