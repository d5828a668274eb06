"""Sound to latents, as a stream: the analysis and the encoder in overlapping stretches, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from . import dsp
from .engine import Engine
from .spec import SpectrogramSpec

Array = NDArray[np.float32]

_STEP = 256  # latent frames encoded at a time
_CONTEXT = 64  # latent frames to either side; the encoder sees far less


def encoded(pieces: Iterable[Array], spec: SpectrogramSpec, ratio: int, normalise: Callable[[Array], Array],
            engine: Engine) -> Iterator[Array]:
    """Pieces [samples] of one recording at the spec's rate -> pieces [latent_dim, any], the posterior mean.

    ratio: frames per latent. The stretches lie on a fixed grid, so the pieces' sizes change nothing; what is left of
    the last latent is filled with the last frame.
    """
    hop = spec.hop_length
    # A frame needs the samples of its window, and the frame before it: so many before the first are wrong in a stretch.
    lead = spec.n_fft // hop // 2 + 1
    held, held_from, start = np.empty(0, np.float32), 0, 0  # samples, from sample `held_from` on; latent frames

    def stretch(last: int) -> Array:
        """Latents from `start` on, out of the frames up to `last`."""
        first = max(0, start - _CONTEXT) * ratio
        begin = max(0, first - lead)
        samples = held[begin * hop - held_from:]
        spectrogram = dsp.analyze(samples[:(last - 1 - begin) * hop + spec.n_fft // 2], spec)
        spectrogram = spectrogram[:, :, first - begin:last - begin]
        padded = np.pad(spectrogram, ((0, 0), (0, 0), (0, -spectrogram.shape[2] % ratio)), mode="edge")
        latents: Array = engine.run(normalise(padded)[None])[0]
        return latents[:, start - first // ratio:][:, :_STEP]

    for piece in pieces:
        held = np.concatenate([held, piece])
        while held_from + len(held) >= ((last := (start + _STEP + _CONTEXT) * ratio) - 1) * hop + spec.n_fft // 2:
            yield stretch(last)
            start += _STEP
            keep = max(0, (start - _CONTEXT) * ratio - lead) * hop
            held, held_from = held[keep - held_from:], keep
    total = spec.frames(held_from + len(held))
    while start * ratio < total:
        yield stretch(min(total, (start + _STEP + _CONTEXT) * ratio))
        start += _STEP
