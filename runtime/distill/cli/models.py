"""`distill models`: the library, a folder of bundles."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.errors import InvalidValue

from .progress import tell
from .table import sidecar_rows, sliders_table, two_columns

if TYPE_CHECKING:
    from distill.shelf import Entry

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models at hand: the ones in the model folder and the built-in ones. Or add, remove, search, show one.

    Example: distill models
    """
    if context.invoked_subcommand is None:
        from distill.shelf import entries

        _print(list(entries()), as_json)
    elif as_json:
        raise InvalidValue(f"--json belongs behind {context.invoked_subcommand}: distill models "
                           f"{context.invoked_subcommand} --json")


@app.command()
def search(text: Annotated[str, typer.Argument(help="Words that must all occur.")], as_json: Json = False) -> None:
    """List the models with these words in name, id, licence, sliders or description.

    Example: distill models search "bell cc0"
    """
    from distill import shelf

    if not text.strip():
        raise InvalidValue("there is nothing to search for; give a word")
    _print(shelf.search(text), as_json)


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME", help="As in distill models.")],
         as_json: Json = False) -> None:
    """Show what a model is, without running it. (distill info measures too.)

    Example: distill models show vibraphone
    """
    from distill.bundle import open_bundle
    from distill.shelf import entry
    from distill.sidecar import dump

    found = entry(name)
    sidecar = open_bundle(found.path).sidecar  # says what is wrong with a broken one
    if as_json:
        print(json.dumps({**_facts(found), "sidecar": json.loads(dump(sidecar))}, indent=1))
        return
    two_columns([("path", str(found.path)), *sidecar_rows(sidecar)])
    sliders_table(sidecar)


@app.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A bundle's folder, or a decoder.onnx.")],
    name: Annotated[str | None, typer.Option(help="What to call it; left out: as it calls itself.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that a bundle is whole and sounds here as it should, and copy it into the model folder.

    Example: distill models add exports/bells --name bells
    """
    from distill import shelf

    added = shelf.add(path, name, force=force)
    tell(f"added {added.name} ({added.path})")
    if as_json:
        print(json.dumps(_facts(added), indent=1))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in distill models.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model from the model folder. Built-in models stay.

    Example: distill models remove bells
    """
    from distill import shelf

    found = shelf.removable(name)
    if not yes and not _agreed(f"remove {found.name} ({found.path}, {found.size / 1e6:.1f} MB)?"):
        tell("nothing is removed")
        return
    shelf.remove(name)
    tell(f"removed {found.path}")


def _agreed(question: str) -> bool:
    """Ask on stderr, read from standard input. Raises InvalidValue where nobody is there to answer."""
    tell(f"{question} [y/N]")
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer:
        raise InvalidValue("nobody answered; --yes removes without asking")
    return answer.strip().casefold() in ("y", "yes")


def _print(found: list[Entry], as_json: bool) -> None:
    from distill.bundle import models_folder

    if as_json:
        print(json.dumps({"folder": str(models_folder()), "models": [_facts(e) for e in found]}, indent=1))
        return
    for e in found:
        s = e.sidecar
        what = e.error if s is None else f"{s.audio.sample_rate_hz} Hz, {e.size / 1e6:.1f} MB, {s.license}"
        print(f"{e.name:<16} {what}  {e.path}{' (built in)' if e.built_in else ''}")


def _facts(e: Entry) -> dict[str, Any]:
    s = e.sidecar
    return {"name": e.name, "path": str(e.path), "built_in": e.built_in, "id": s and s.model.id,
            "sample_rate": s and s.audio.sample_rate_hz, "bytes": s and e.size, "license": s and s.license,
            "error": e.error}
