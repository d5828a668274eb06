"""Segments of spectrogram that overlap, as one stream: `overlap_add` for what has no end.

Each segment is decoded on its own chunk grid, whose receptive-field context is trimmed off; what is faded here are
whole segments, never chunks. Where segments overlap, level is mixed as linear power and frequency with that power as
its weight (`distill.dsp.overlap`), so there is one spectrogram and one phase, and tones neither beat nor smear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .arrays import namespace
from .dsp.overlap import mixed, rising

Array = Any  # of any device


def segmented(pieces: Iterable[Array], length: int) -> Iterator[Iterator[Array]]:
    """Pieces [..., any] of one sequence -> segments of `length`, the last perhaps shorter, as pieces again.

    Each segment must be used up before the next is asked for.
    """
    source = iter(pieces)
    rest: Array | None = None

    def more() -> bool:
        nonlocal rest
        while rest is None or rest.shape[-1] == 0:
            rest = next(source, None)
            if rest is None:
                return False
        return True

    def segment() -> Iterator[Array]:
        nonlocal rest
        left = length
        while left > 0 and more():
            assert rest is not None
            piece, rest = rest[..., :left], rest[..., left:]
            left -= piece.shape[-1]
            yield piece

    while more():
        yield segment()


def crossfaded(segments: Iterable[Iterable[Array]], length: int, overlap: int) -> Iterator[Array]:
    """Segments of `length` frames, as pieces [2, n_mels, any] -> pieces of their crossfade.

    Joined, the result equals `overlap_add(segments, overlap)[0]` bit for bit. The last segment may be shorter than
    `length`, even than `overlap`: then it ends within its fade. Memory: `overlap` frames, `length` at least twice that.
    """
    rise = rising(overlap)
    fading: Array | None = None  # the end of the segment before, [2, n_mels, overlap]
    for segment in segments:
        held: list[Array] = []
        done = 0
        for piece in segment:
            count = piece.shape[2]
            cut = max(0, min(count, length - overlap - done))  # what the next segment does not touch
            ready, kept = piece[:, :, :cut], piece[:, :, cut:]
            if fading is not None and done < overlap:
                part = min(cut, overlap - done)
                faded = mixed(fading[:, :, done:done + part], ready[:, :, :part], rise[done:done + part])
                ready = namespace(faded).concat([faded, ready[:, :, part:]], axis=2)
            if kept.shape[2]:
                held.append(kept)
            done += count
            if cut:
                yield ready
        fading = namespace(held[0]).concat(held, axis=2) if held else None
    if fading is not None:
        yield fading
