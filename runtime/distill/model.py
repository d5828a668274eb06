"""A loaded model: everything that makes sound from a bundle, without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import dsp
from .bundle import Bundle, open_bundle
from .decoder import ChunkDecoder
from .engine import Device, Engine
from .errors import InvalidValue, NumericError
from .knobs import Knobs, Quality
from .latents import Source, make_source
from .prior import Prior
from .render import blocks, render
from .sidecar import Sidecar
from .spec import SpectrogramSpec

Array = NDArray[np.float32]


def load(model: str | os.PathLike[str] | None = None, *, device: Device = "auto", threads: int = 1) -> Model:
    """Load MODEL: a bundle's folder, a `decoder.onnx`, or a name; None is the built-in model.

    device: "cpu", "cuda" or "auto". threads: of onnxruntime; one is enough for many times real time.
    Raises NotFound, BundleError, DeviceError.
    """
    return Model(open_bundle(model), device=device, threads=threads)


class Model:
    """A bundle, opened. Safe to share between threads: every call has its own state."""

    def __init__(self, bundle: Bundle, *, device: Device = "auto", threads: int = 1) -> None:
        self._bundle = bundle
        self._device, self._threads = device, threads
        self._engine = Engine(bundle.read("decoder"), str(bundle.path), device, threads)
        self._decoder = ChunkDecoder.of(self._engine, bundle.sidecar)

    @property
    def sidecar(self) -> Sidecar:
        """Every stored fact of the model."""
        return self._bundle.sidecar

    @cached_property
    def spec(self) -> SpectrogramSpec:
        """What the decoder's spectrograms mean."""
        return self.sidecar.spec

    @property
    def name(self) -> str:
        return self.sidecar.model.name

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.sidecar.audio.sample_rate_hz

    @property
    def latent_dim(self) -> int:
        return self.sidecar.latent.dim

    @property
    def provider(self) -> str:
        """The execution provider that runs the decoder."""
        return self._engine.provider

    @cached_property
    def prior(self) -> Prior | None:
        """The corpus as latents, or None where the bundle has none."""
        return Prior.of(self._bundle)

    def decode(self, latents: ArrayLike, chunk: int | None = None) -> Array:
        """Latents [latent_dim, latent_frames] -> spectrogram [2, n_mels, frames], in dB and IF units.

        chunk: latent frames decoded at a time (default: the bundle's grid). It changes the result by less than 1e-5
        in normalised units. Raises InvalidValue for a wrong shape, NumericError for non-finite latents.
        """
        return self._decoder.denormalise(self._decoder.normalised(self._checked(latents), chunk))

    def synthesize(self, latents: ArrayLike, quality: Quality = "balanced", length: int | None = None) -> Array:
        """Latents [latent_dim, latent_frames] -> samples; (frames - 1) * hop_length of them unless `length` says so."""
        return dsp.synthesize(self.decode(latents), self.spec, quality, length)

    def encode(self, audio: ArrayLike, sample_rate: int) -> Array:
        """Samples [samples] or [channels, samples] at `sample_rate` Hz -> latents [latent_dim, latent_frames].

        The posterior mean. Raises BundleError where the bundle has no encoder.
        """
        samples = np.asarray(audio, np.float32)
        if samples.ndim == 2:
            samples = samples.mean(axis=0)
        if samples.ndim != 1:
            raise InvalidValue(f"audio has shape {samples.shape}; it must be [samples] or [channels, samples]")
        if not 1_000 <= sample_rate <= 768_000:
            raise InvalidValue(f"sample_rate is {sample_rate}; it must be from 1000 to 768000")
        if sample_rate != self.sample_rate:
            import soxr

            samples = soxr.resample(samples, sample_rate, self.sample_rate, quality="VHQ").astype(np.float32)
        engine = self._encoder
        spectrogram = self._decoder.normalise(dsp.analyze(samples, self.spec))
        frames = spectrogram.shape[2]
        ratio = self._decoder.frames_per_latent
        if frames == 0:
            return np.empty((self.latent_dim, 0), np.float32)
        padded = np.pad(spectrogram, ((0, 0), (0, 0), (0, -frames % ratio)), mode="edge")
        context, step = 64 * ratio, 512 * ratio  # frames; the encoder sees far less than 64 latents to either side
        pieces = []
        for start in range(0, padded.shape[2], step):
            first = max(0, start - context)
            latents = engine.run(padded[None, :, :, first:start + step + context])[0]
            pieces.append(latents[:, (start - first) // ratio:][:, :step // ratio])
        return np.concatenate(pieces, axis=1)

    def generate(self, seconds: float = 10.0, **knobs: Any) -> Array:
        """Make `seconds` of sound: float32 [samples] at `sample_rate`. The same seed gives the same samples.

        knobs: the fields of `distill.Knobs`. Raises InvalidValue for what is not allowed.
        """
        return np.concatenate(list(render(self, Knobs.of(**knobs), seconds)), axis=-1)

    def stream(self, seconds: float | None = None, *, block: int = 512, **knobs: Any) -> Iterator[Array]:
        """Blocks of `block` samples (the last may be shorter), endless unless `seconds` is given.

        Concatenated they are `generate` with the same knobs, bit for bit, whatever the block.
        quality "high" needs the whole file and is refused.
        """
        wishes = Knobs.of(**knobs)
        if wishes.quality == "high":
            raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
        return blocks(render(self, wishes, seconds), block)

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[Array]:
        """What `knobs` mean as pieces [2, n_mels, any] in dB and IF units; at least `frames` in all, or endless."""
        source = make_source(self.sidecar, self.prior, knobs, lane)
        limit = np.float32(self.sidecar.loudness.frame_limit_db)
        for piece in self._decoder.stream(self._latents(source, frames)):
            yield _held_down(self._decoder.denormalise(piece), limit)

    def _latents(self, source: Source, frames: int | None) -> Iterator[Array]:
        """Latents for so many frames, a chunk of the grid at a time."""
        left = None if frames is None else -(-frames // self._decoder.frames_per_latent)
        while left is None or left > 0:
            count = self._decoder.chunk if left is None else min(left, self._decoder.chunk)
            yield source.take(count)
            left = None if left is None else left - count

    def _checked(self, latents: ArrayLike) -> Array:
        array = np.asarray(latents, np.float32)
        if array.ndim != 2 or array.shape[0] != self.latent_dim:
            raise InvalidValue(f"latents have shape {array.shape}; they must be [{self.latent_dim}, latent_frames]")
        if not np.isfinite(array).all():
            raise NumericError("latents hold numbers that are not finite")
        return array

    @cached_property
    def _encoder(self) -> Engine:
        return Engine(self._bundle.read("encoder"), f"{self._bundle.path} (encoder)", self._device, self._threads)


def _held_down(spectrogram: Array, limit_db: np.float32) -> Array:
    """No frame louder than the loudest of the corpus: what lies outside the corpus's latents may overshoot."""
    level = 10 * np.log10(np.exp(spectrogram[0] * np.float32(np.log(10) / 10)).sum(axis=0))
    spectrogram[0] -= np.maximum(level - limit_db, 0)
    return spectrogram
