"""A live sound: a model or a blend, and controls that any thread may move while it plays.

    live = distill.Live(model, seed=1)
    for block in live.stream(block=512):        # in the thread that plays
        ...
    live.send("slider brightness 3")            # in any other; heard, without a click, within one block
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.blending import Blend
from distill.errors import InvalidValue
from distill.knobs import Knobs
from distill.model import Model
from distill.render import Mixture, Voice, blocks, render

from .controls import Controls
from .steering import LARGEST_STEP, STEP, Steering

Array = NDArray[np.float32]

_HOP_SECONDS = 0.01  # about as much as stereo, headphones and the limiter handle at a time


class Live:
    """A model or a blend under control."""

    def __init__(self, voice: Model | Blend, *, chunk: int = STEP, **knobs: Any) -> None:
        """chunk: latent frames that become sound at a time. More cost less processor time, and a change waits for them.

        Raises InvalidValue for knobs as `stream` does, for a loop, and for weights that move by themselves.
        """
        if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= LARGEST_STEP:
            raise InvalidValue(f"live chunk is {chunk!r}; it must be a whole number from 1 to {LARGEST_STEP}")
        wishes = Knobs.of(**knobs)
        if wishes.quality == "high":
            raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
        if wishes.loop:
            raise InvalidValue("a loop is finished before it plays and cannot be controlled")
        if isinstance(voice, Blend):
            if voice.moving:
                raise InvalidValue("weights that move by themselves cannot be controlled; give each model one number")
            voice = voice.steered()
            weights = tuple(curve[0] for curve in voice.weights.curves)
            self.controls = Controls(voice.models, wishes, weights, voice.labels)
        else:
            self.controls = Controls([voice], wishes)
        self._voice, self._chunk = voice, chunk

    def send(self, line: str) -> None:
        """Obey a control line (`slider brightness 3`). Raises InvalidValue or NotFound; then nothing has changed."""
        self.controls.send(line)

    def stream(self, seconds: float | None = None, *, block: int = 512) -> Iterator[Array]:
        """Blocks of `block` samples, as `Model.stream` gives them; each stream begins where the controls are now."""
        return blocks(self.pieces(seconds), block)

    def pieces(self, seconds: float | None = None) -> Iterator[Array]:
        """The same sound in pieces of any size, as soon as they are made: for a pipe, which makes its own blocks."""
        hop: int = 1 << round(math.log2(_HOP_SECONDS * self._voice.sample_rate))  # 512 at 48 kHz
        return render(self.voice(), self.controls.now.knobs, seconds, hop)

    def voice(self) -> Voice | Mixture:
        """What `render` can play; one for each stream."""
        return Steering(self.controls, self._chunk).voice(self._voice)
