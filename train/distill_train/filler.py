"""Analyses the pitch copies beside the training, so that the first steps need not wait for all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from distill.errors import DistillError

from .spectrograms import CachedSpectrogram


class CacheFiller:
    """Use as a context manager: works through `sources` in a thread, and ends with the block.

    Which crops are drawn does not depend on it: a spectrogram that is not there yet is analysed when a crop needs it.
    An error here is left to that moment too.
    """

    def __init__(self, sources: Sequence[CachedSpectrogram]) -> None:
        self._sources = sources
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="analysis", daemon=True)

    def __enter__(self) -> CacheFiller:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        for source in self._sources:
            if self._end.is_set():
                return
            try:
                source.cache.build(source.piece)
            except DistillError:
                return
