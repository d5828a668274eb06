"""A stream of frames that come few at a time, synthesised in blocks: ahead, as far as the next ones are foreseen.

A push costs much however few its frames are. Where frames come one after the other because any of them may yet change,
but seldom does, those foreseen become sound along with those that are due. If what comes is something else, the stream
goes back to the present: a `Synthesizer` gives the same samples however its frames are grouped, so the played ones are
pushed again, without their sound, and what follows is what it would have been.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .synthesis import Synthesizer

Floats = NDArray[np.float32]

BLOCK = 16  # frames made at a time, at most: longer blocks save little more, and a change makes a whole one again


class ForesightedSynthesizer:
    """A `Synthesizer` that is told what will probably come. The sound is that of one that is not, bit for bit.

    After a surprise it looks ahead only as far as the last guess held, and twice as far whenever one comes true: under
    a control that never rests there are as many pushes as without any foresight, of a few frames more.
    """

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._begin(synthesizer)

    def _begin(self, synthesizer: Synthesizer) -> None:
        self._behind = self._before = synthesizer  # after and before the frames that are made
        self._made = np.zeros((2, synthesizer.spec.n_mels, 0), np.float32)
        self._played = 0  # of them
        self._sound = np.zeros(0, np.float32)  # of those not played
        self._sight, self._held = BLOCK, BLOCK  # frames to make at a time; frames since the last surprise

    def push(self, spectrogram: Floats, ahead: Callable[[int], Floats]) -> Floats:
        """The next frames, float32 [2, n_mels, m], m >= 0 -> the samples they finish [samples].

        ahead: n -> what comes after them unless it changes, [2, n_mels, at most n]. Raises NumericError where the two
        are not finite.
        """
        count = spectrogram.shape[2]
        if not np.array_equal(self._made[:, :, self._played : self._played + count], spectrogram):
            self._make(spectrogram, ahead)
        self._played, self._held = self._played + count, self._held + count
        rest = self._behind.finished(self._made.shape[2] - self._played)
        due = len(self._sound) - rest
        sound, self._sound = self._sound[:due], self._sound[due:]
        return sound

    def flush(self) -> Floats:
        """As `Synthesizer.flush`."""
        if self._played < self._made.shape[2]:
            self._behind = self._before.twin()
            self._behind.push(self._made[:, :, : self._played])
        rest = self._behind.flush()
        self._begin(self._behind)
        return rest

    def _make(self, spectrogram: Floats, ahead: Callable[[int], Floats]) -> None:
        """Sound of these frames and of some to come, in place of what is made and has not been played."""
        if self._played == self._made.shape[2]:
            self._before, self._played = self._behind, 0
            self._sight = min(BLOCK, 2 * self._sight)
        else:
            self._sight, self._held = min(BLOCK, self._held), 0
        count = spectrogram.shape[2]
        further = max(0, self._sight // max(1, count) - 1) * count  # whole pushes: none lies across an end
        played = self._made[:, :, : self._played]
        self._made = np.concatenate([played, spectrogram, ahead(further)], axis=2)
        self._behind = self._before.twin()
        sound = self._behind.push(self._made)
        self._sound = sound[len(sound) - self._behind.finished(self._made.shape[2] - self._played) :]
