"""The commands. Each is a door: parse, call the library, print."""

from __future__ import annotations

from typing import Annotated

import typer

from .lazy import Commands, group

HELP = "Make sound from small models trained on your own recordings. No PyTorch needed."

# name: (module, function or Typer app in it, first line of its help)
COMMANDS = Commands(__package__, {
    "generate": ("generate", "generate", "Make sound from a model."),
    "blend": ("blend", "blend", "Make one sound from several models."),
    "again": ("again", "again", "Make a sound again from what its file says about itself: the same samples, and the "
                                "same WAV or FLAC file."),
    "encode": ("encode", "encode", "Turn a recording into the latents of a model; its channels are mixed."),
    "resynth": ("resynth", "resynth", "Play a recording with the sound of a model: as long, as loud, channel by "
                                      "channel."),
    "info": ("info", "info", "Show what a model is, where it came from, and how fast it runs here."),
    "check": ("info", "check", "Prove on this machine that a model is whole and sounds as it did where it was "
                               "exported."),
    "bench": ("bench", "bench", "Measure a model on this machine: speed of every variant, first-block latency, "
                                "memory."),
    "doctor": ("doctor", "doctor", "Look at this installation and try it out; say what to do about whatever is "
                                   "wrong."),
    "models": ("models", "app", "List the models at hand: the ones in the model folder and the built-in ones. Or add, "
                                "remove, search, show one."),
    "presets": ("presets", "app", "Keep settings under a name, for one model: distill generate --preset NAME uses "
                                  "them."),
})

app = typer.Typer(name="distill", help=HELP, cls=group(COMMANDS), no_args_is_help=True, add_completion=False,
                  rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from distill import __version__

        print(__version__)
        raise typer.Exit
