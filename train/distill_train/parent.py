"""A run that begins from another one: its weights, and everything without which they mean nothing.

Spec, statistics and network are the parent's, so a latent of the child means about what it meant to the parent, and
the two can be blended as latents. The corpus, the seed and the way of training are the child's own.
"""

from __future__ import annotations

from distill.errors import InvalidValue

from .checkpoint import Checkpoint, load_checkpoint
from .config import size_of
from .options import DEFAULT_SIZE, Options


def open_parent(options: Options) -> Checkpoint | None:
    """The checkpoint that `--from` names, or None without it.

    Raises InvalidValue where the options ask for another spec or network than the parent's, NotFound, FileError,
    BundleError where there is no checkpoint or it is none of ours.
    """
    if options.parent is None:
        return None
    parent = load_checkpoint(options.parent)
    for name, value in weights_are_for(parent, options).items():
        given = getattr(options, name)
        if given is not None and given != value:
            flag = "--" + name.replace("_", "-")
            raise InvalidValue(f"{flag} is {given} but the weights in {options.parent} are for {value}; leave {flag} "
                               "out, or leave --from out")
    return parent


def heard_by(parent: Checkpoint | None) -> frozenset[str]:
    """Hashes of the recordings that the parent was trained on. (Those of its own parents are not known.)"""
    return frozenset() if parent is None else frozenset(file.sha256 for file in parent.corpus if not file.held_out)


def weights_are_for(checkpoint: Checkpoint, options: Options) -> dict[str, object]:
    """The options whose values the weights of a checkpoint are bound to; `options` may ask for the same."""
    spec = checkpoint.spec
    size = size_of(checkpoint.network, spec, options.size or DEFAULT_SIZE)
    return {"size": size, **{name: getattr(spec, name)
                             for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "floor_db")}}
