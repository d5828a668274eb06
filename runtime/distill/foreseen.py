"""Pieces of something that comes bit by bit, with what will probably follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Foreseen(Generic[T]):
    """An iterator of pieces that can be asked what comes next. The answer is a guess: controls may move."""

    def __init__(self, steps: Iterator[tuple[T, Callable[[int], T]]]) -> None:
        """steps: each piece, and a function n -> about n frames that follow it, fewer where no more are known."""
        self._steps = steps
        self._ahead: Callable[[int], T] | None = None

    def __iter__(self) -> Foreseen[T]:
        return self

    def __next__(self) -> T:
        piece, self._ahead = next(self._steps)
        return piece

    def ahead(self, frames: int) -> T:
        """About `frames` that follow the last piece; there must have been one."""
        assert self._ahead is not None
        return self._ahead(frames)

    def mapped(self, change: Callable[[T], U]) -> Foreseen[U]:
        """The same, each piece changed."""
        return Foreseen((change(piece), lambda frames: change(self.ahead(frames))) for piece in self)
