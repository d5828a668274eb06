"""The `distill` command. Each command is a door: parse, call the library, print."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from . import door
from .generate import generate
from .info import check, info, models

HELP = "Make sound from small models trained on your own recordings. No PyTorch needed."

app = typer.Typer(name="distill", help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False)
for command in (generate, info, check, models):
    app.command()(command)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from distill import __version__

        print(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    door.run(app, "distill", arguments)
