"""Arrays that may lie in another memory than the host's: which library they belong to, and the way back."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def namespace(array: Any) -> Any:
    """The library whose functions take `array`, by the names of the Python array API standard."""
    if isinstance(array, np.ndarray):
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.partition(".")[0]]  # CuPy's arrays do not tell


def on_host(array: Any) -> NDArray[Any]:
    """`array` as numpy's; copied only if it lies elsewhere."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # CuPy
        copied: NDArray[Any] = array.get()
        return copied
    shared: NDArray[Any] = np.from_dlpack(array)
    return shared


def not_on_host(pieces: Iterator[Any]) -> tuple[bool, Iterator[Any]]:
    """Whether the first of `pieces` lies elsewhere, which is where they all are, and the pieces."""
    first = next(pieces, None)
    if first is None:
        return False, pieces
    return not isinstance(first, np.ndarray), itertools.chain([first], pieces)


def gathered(pieces: Iterator[Any], most: int) -> Iterator[Any]:
    """Pieces [..., any] that lie elsewhere, joined to fewer and longer ones: 1, 2, 4, ... of them, of `most` in all.

    There every call has a price of its own, whatever it works on; the first piece still comes alone, and at once.
    Pieces on the host stay as they are.
    """
    count = 1
    while held := list(itertools.islice(pieces, count)):
        if isinstance(held[0], np.ndarray):
            yield from itertools.chain(held, pieces)
            return
        yield namespace(held[0]).concat(held, axis=-1)
        if 2 * sum(piece.shape[-1] for piece in held) <= most:
            count *= 2


def in_one_place(arrays: list[Any]) -> list[Any]:
    """The arrays where they are, if that is one place; else all of them on the host."""
    return arrays if len({namespace(array) for array in arrays}) == 1 else [on_host(array) for array in arrays]
