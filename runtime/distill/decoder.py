"""Latents to spectrogram in chunks on a fixed grid.

A convolutional decoder looks `left` latent frames back and `right` ahead. Chunk i of the grid covers latent frames
[i * chunk, (i + 1) * chunk); it is decoded with that much context on either side (less at the very start and end,
where decoding in one piece has zeros too) and the context is cut off again. So each frame comes from the same numbers
as in one piece, and, since the grid is absolute, from the very same call whatever the caller's own block size is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .arrays import namespace
from .engine import Engine
from .errors import BundleError, InvalidValue
from .sidecar import Sidecar

Array = NDArray[np.float32]


class ChunkDecoder(Struct, frozen=True, eq=False):
    """The decoder graph with the facts needed to run it in chunks. Stateless: threads may share it."""

    engine: Engine
    latent_dim: int
    n_mels: int
    frames_per_latent: int
    left: int  # latent frames of receptive field before
    right: int  # and after
    chunk: int  # latent frames of the default grid
    mean: Array  # [2, 1, 1]
    std: Array  # [2, 1, 1]

    @classmethod
    def of(cls, engine: Engine, sidecar: Sidecar) -> ChunkDecoder:
        """Raises BundleError where the graph and the sidecar disagree about shapes."""
        expected = (sidecar.latent.dim, 2, sidecar.bands.n_mels)
        found = (*engine.input_shape[1:2], *engine.output_shape[1:3])
        if len(engine.input_shape) != 3 or len(engine.output_shape) != 4 or found != expected:
            raise BundleError(f"{engine.where}: the graph's shapes {engine.input_shape} -> {engine.output_shape} are "
                              f"not those of the sidecar (latent.dim, 2, bands.n_mels = {expected})")
        chunking, norm = sidecar.chunking, sidecar.normalization
        return cls(engine, sidecar.latent.dim, sidecar.bands.n_mels, sidecar.latent.frames_per_latent,
                   chunking.receptive_field_left, chunking.receptive_field_right, chunking.recommended_chunk,
                   np.array(norm.mean, np.float32).reshape(2, 1, 1), np.array(norm.std, np.float32).reshape(2, 1, 1))

    def stream(self, latents: Iterable[Array], chunk: int | None = None) -> Iterator[Any]:
        """Pieces [latent_dim, any] of one latent sequence -> normalised spectrogram chunks [2, n_mels, frames].

        A chunk is given out as soon as its right context has come; the pieces' own sizes change nothing. The chunks
        are arrays of the engine's device.
        """
        size = self.chunk if chunk is None else chunk
        if size < 1:
            raise InvalidValue(f"chunk is {chunk}; it must be at least 1 latent frame")
        held = np.empty((self.latent_dim, 0), np.float32)  # latent frames from `held_from` on
        held_from = start = 0  # absolute latent frames
        for piece in latents:
            held = np.concatenate([held, piece], axis=1)
            while held_from + held.shape[1] >= start + size + self.right:
                yield self.part(held, start - held_from, start - held_from + size)
                start += size
                drop = max(0, start - self.left - held_from)
                held, held_from = held[:, drop:], held_from + drop
        end = held_from + held.shape[1]
        while start < end:
            yield self.part(held, start - held_from, min(start + size, end) - held_from)
            start += size

    def part(self, latents: Array, start: int, stop: int) -> Any:
        """Frames start to stop of latents [latent_dim, latent_frames] -> normalised spectrogram [2, n_mels, frames].

        Decoded with as much of what lies around them as the decoder looks at, and there is; on the engine's device.
        """
        first = max(start - self.left, 0)
        window = latents[None, :, first:stop + self.right]
        shape = (1, 2, self.n_mels, window.shape[2] * self.frames_per_latent)
        skip = (start - first) * self.frames_per_latent
        kept = slice(skip, skip + (stop - start) * self.frames_per_latent)
        return self.engine.run_in_place(window, shape)[0, :, :, kept]

    def normalised(self, latents: Array, chunk: int | None = None) -> Any:
        """Latents [latent_dim, latent_frames] -> spectrogram [2, n_mels, frames] in normalised units, on the device."""
        pieces = list(self.stream([latents], chunk))
        if not pieces:
            return np.empty((2, self.n_mels, 0), np.float32)
        return namespace(pieces[0]).concat(pieces, axis=2)

    def steady_levels(self, latents: Array) -> Array:
        """Levels [n], dB, power summed over the bands, that latents [latent_dim, n] have when each is held."""
        window = np.repeat(latents.T[:, :, None], self.left + 1 + self.right, axis=2)
        inner = slice(self.left * self.frames_per_latent, (self.left + 1) * self.frames_per_latent)
        level = self.denormalise(self.engine.run(window))[:, 0, :, inner].astype(np.float64)
        result: Array = (10 * np.log10(np.exp(level * (np.log(10) / 10)).sum(axis=1).mean(axis=1))).astype(np.float32)
        return result

    def denormalise(self, spectrogram: Any) -> Any:
        """Normalised units -> dB and instantaneous frequency, for arrays of any device."""
        xp = namespace(spectrogram)
        result = spectrogram * xp.asarray(self.std)
        result += xp.asarray(self.mean)
        return result

    def normalise(self, spectrogram: Array) -> Array:
        """dB and instantaneous frequency -> normalised units."""
        return (spectrogram - self.mean) / self.std
