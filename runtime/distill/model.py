"""A loaded model: everything that makes sound from a bundle, without PyTorch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import dsp
from .arrays import gathered, namespace, on_host
from .bundle import VARIANT_KEY, Bundle, open_bundle
from .decoder import ChunkDecoder
from .engine import Device, Engine
from .errors import InvalidValue, NumericError
from .knobs import Knobs, Loudness, Quality, check_loudness
from .latents import Cut, Source, make_source
from .prior import Prior
from .render import blocks, render
from .sidecar import DECODERS, Sidecar, Variant
from .sliders import Sliders
from .spec import SpectrogramSpec

if TYPE_CHECKING:
    from .live.steering import Steering

Array = NDArray[np.float32]

_AT_ONCE = 1024  # frames, at most, that a GPU turns into samples together


def load(model: str | os.PathLike[str] | None = None, *, device: Device = "auto", threads: int = 1,
         variant: Variant | None = None) -> Model:
    """Load MODEL: a bundle's folder, a `decoder.onnx`, or a name; None is the built-in model.

    device: "cpu", "cuda" or "auto". threads: of onnxruntime; one is enough for many times real time.
    variant: "fp32" (also None), "fp16" or "int8", of those in the bundle.
    Raises NotFound, BundleError, DeviceError, InvalidValue for a variant that is not there.
    """
    return Model(open_bundle(model), device=device, threads=threads, variant=variant)


class Model:
    """A bundle, opened. Safe to share between threads: every call has its own state."""

    def __init__(self, bundle: Bundle, *, device: Device = "auto", threads: int = 1,
                 variant: Variant | None = None) -> None:
        self._bundle = bundle
        self._threads = threads
        chosen = check_variant(variant or "fp32", bundle)
        entry = bundle.sidecar.file(DECODERS[chosen])  # None of a lone decoder, which may be any
        self._engine = Engine(bundle.read(DECODERS[chosen]), str(bundle.path), device, threads,
                              fused=entry is None or entry.dtype == "int8")
        self._device: Device = self._engine.device  # "auto" is decided once
        # a lone decoder.int8.onnx has nobody but itself to say what it is
        self.variant = check_variant(self._engine.metadata.get(VARIANT_KEY, chosen))
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
    def path(self) -> Path:
        """The bundle's folder, or the lone decoder."""
        return self._bundle.path

    @property
    def about(self) -> dict[str, Any]:
        """What makes the sound, for whoever keeps it: names and plain values."""
        return {"model": self.name, "model_id": self.sidecar.model.id, "provider": self.provider,
                "variant": self.variant, "threads": self.threads}

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.sidecar.audio.sample_rate_hz

    @property
    def gain_db(self) -> float:
        """What makes it as loud as other models, measured at export."""
        return self.sidecar.loudness.gain_db

    @property
    def latent_dim(self) -> int:
        return self.sidecar.latent.dim

    @property
    def threads(self) -> int:
        """Threads that onnxruntime may use."""
        return self._threads

    @property
    def provider(self) -> str:
        """The execution provider that runs the decoder."""
        return self._engine.provider

    @cached_property
    def sliders(self) -> Sliders:
        """What can be moved by name: `model.sliders.names`."""
        return Sliders(self.sidecar)

    @cached_property
    def prior(self) -> Prior | None:
        """The corpus as latents, or None where the bundle has none."""
        return Prior.of(self._bundle)

    def decode(self, latents: ArrayLike, chunk: int | None = None) -> Array:
        """Latents [latent_dim, latent_frames] -> spectrogram [2, n_mels, frames], in dB and IF units.

        chunk: latent frames decoded at a time (default: the bundle's grid). It changes the result by less than 1e-5
        in normalised units. Raises InvalidValue for a wrong shape, NumericError for non-finite latents.
        """
        return on_host(self._whole(latents, chunk))

    def synthesize(self, latents: ArrayLike, quality: Quality = "balanced", length: int | None = None) -> Array:
        """Latents [latent_dim, latent_frames] -> samples; (frames - 1) * hop_length of them unless `length` says so."""
        whole = self._whole(latents)
        if isinstance(whole, np.ndarray):
            return dsp.synthesize(whole, self.spec, quality, length)
        from .dsp import portable

        with self._engine.guarded():
            return on_host(portable.synthesize(whole, self.spec, quality, length, xp=namespace(whole)))

    def encode(self, audio: ArrayLike, sample_rate: int) -> Array:
        """Samples [samples] or [channels, samples] at `sample_rate` Hz -> latents [latent_dim, latent_frames].

        The posterior mean. Raises BundleError where the bundle has no encoder.
        """
        from .resample import resampled

        lines = _lines(audio, sample_rate)
        own = resampled([lines.mean(axis=0, dtype=np.float32)], sample_rate, self.sample_rate)
        return np.concatenate([np.empty((self.latent_dim, 0), np.float32), *self.encoded(own)], axis=1)

    def encoded(self, pieces: Iterable[Array]) -> Iterator[Array]:
        """Pieces [samples] of one recording at the model's rate -> pieces of its latents [latent_dim, any]."""
        from .encoding import encoded

        return encoded(pieces, self.spec, self._decoder.frames_per_latent, self._decoder.normalise, self._encoder)

    def resynthesize(self, audio: ArrayLike, sample_rate: int, quality: Quality = "balanced",
                     loudness: Loudness = "equal") -> Array:
        """A recording as this model plays it: the same shape, at the model's rate, so long as the recording lasts.

        audio: [samples] or [channels, samples] at `sample_rate` Hz; each channel goes through the model by itself.
        loudness: "equal" follows the level of the recording, "model" leaves what the model makes of it.
        Raises BundleError where the bundle has no encoder, InvalidValue, NumericError.
        """
        from .resample import resampled
        from .resynthesis import Resynthesis

        lines = _lines(audio, sample_rate)
        length = round(lines.shape[1] * self.sample_rate / sample_rate)
        check_loudness(loudness)
        own = resampled([lines], sample_rate, self.sample_rate, length)
        with Resynthesis(self, own, len(lines), quality, loudness == "equal") as work:
            work.prepare()
            sound = np.concatenate([np.empty((len(lines), 0), np.float32), *work.pieces()], axis=1)
        return sound[0] if np.ndim(audio) == 1 else sound

    def anchored(self, latents: ArrayLike, name: str = "recording") -> Model:
        """This model with a recording of yours, as latents out of `encode`, beside its corpus: modes begin there."""
        from .anchor import Anchored

        return Anchored(self, latents, name)

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

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0,
                     steer: Steering | None = None) -> Iterator[Any]:
        """What `knobs` mean as pieces [2, n_mels, any] in dB and IF units; at least `frames` in all, or endless.

        They are arrays of the device.
        steer: what changes while the sound is made.
        """
        if steer is not None:
            return steer.spectrograms(self, [self], knobs, frames, lane).mapped(itemgetter(0))
        return gathered(self.decoded(self.latents(knobs, frames, lane), cut=self.cut(knobs)), _AT_ONCE)

    def source(self, knobs: Knobs, lane: int = 0) -> Source:
        """Where the latents of `knobs` come from, before sliders move them."""
        return make_source(self.sidecar, self.prior, self._own_knobs(knobs), lane, self._decoder.steady_levels)

    def latents(self, knobs: Knobs, frames: int | None, lane: int = 0) -> Iterator[Array]:
        """What `knobs` mean as pieces [latent_dim, any], for at least so many spectrogram frames, or endless.

        Mode crossfade: all segments, one after the other, as `decoded` takes them.
        """
        source, chunk = self.source(knobs, lane), self._decoder.chunk
        offset = self.sliders.offset(self.sliders.values(knobs.sliders))
        left = None if frames is None else -(-frames // self._decoder.frames_per_latent)
        cut = self.cut(knobs)
        if left is not None and cut is not None:
            left = cut.latents(left)

        def pieces(left: int | None) -> Iterator[Array]:
            while left is None or left > 0:
                count = chunk if left is None else min(left, chunk)
                yield source.take(count) + offset
                left = None if left is None else left - count

        return pieces(left)

    def decoded(self, latents: Iterable[Array], chunk: int | None = None, cut: Cut | None = None) -> Iterator[Any]:
        """Pieces of latents as pieces [2, n_mels, any] in dB and IF units, on a grid of `chunk` latent frames.

        They are arrays of the device.
        cut: lengths of the segments that the latents consist of; each is decoded on its own and faded into the next.
        """
        if cut is not None:
            from .crossfade import crossfaded, segmented

            ratio = self._decoder.frames_per_latent
            segments = (self.decoded(segment, chunk) for segment in segmented(latents, cut.length))
            yield from crossfaded(segments, cut.length * ratio, cut.overlap * ratio)
            return
        for piece in self._decoder.stream(latents, chunk):
            yield self._finished(piece)

    def decoded_part(self, latents: Array, start: int, stop: int) -> Any:
        """Frames start to stop of latents [latent_dim, latent_frames] -> [2, n_mels, frames] in dB and IF units.

        The others are what the decoder sees around them. An array of the device.
        """
        return self._finished(self._decoder.part(latents, start, stop))

    def _finished(self, piece: Any) -> Any:
        limit = float(np.float32(self.sidecar.loudness.frame_limit_db))
        with self._engine.guarded():
            return _held_down(self._decoder.denormalise(piece), limit)

    def cut(self, knobs: Knobs) -> Cut | None:
        """Where the latents of `knobs` are cut into segments, if they are."""
        return Cut.of(knobs, self.sidecar.latent.rate_hz) if knobs.mode == "crossfade" else None

    def _own_knobs(self, knobs: Knobs) -> Knobs:
        """The knobs, as this model means them."""
        return knobs

    def _whole(self, latents: ArrayLike, chunk: int | None = None) -> Any:
        """The same as `decode`, in the device's memory."""
        normalised = self._decoder.normalised(self._checked(latents), chunk)
        with self._engine.guarded():
            return self._decoder.denormalise(normalised)

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


def _lines(audio: ArrayLike, sample_rate: int) -> Array:
    """Samples [samples] or [channels, samples] as float32 [channels, samples]. Raises InvalidValue, NumericError."""
    from .recording import HIGHEST_RATE, LOWEST_RATE

    samples = np.asarray(audio, np.float32)
    if samples.ndim not in (1, 2) or 0 in samples.shape[:-1]:
        raise InvalidValue(f"audio has shape {samples.shape}; it must be [samples] or [channels, samples]")
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise InvalidValue(f"sample_rate is {sample_rate}; it must be from {LOWEST_RATE} to {HIGHEST_RATE}")
    if not np.isfinite(samples).all():
        raise NumericError("audio holds NaN or infinite samples")
    return np.atleast_2d(samples)


def check_variant(variant: str, bundle: Bundle | None = None) -> Variant:
    """`variant` if there is such a one and the bundle has it; raises InvalidValue that lists what is allowed."""
    if variant not in DECODERS:
        raise InvalidValue(f"variant is {variant!r}; it must be fp32, fp16 or int8")
    if bundle is not None and variant not in bundle.sidecar.variants:
        raise InvalidValue(f"{bundle.path}: no variant {variant!r} in this bundle (it has: "
                           f"{', '.join(bundle.sidecar.variants)}); distill-export --variants {variant} makes it")
    return variant


def _held_down(spectrogram: Any, limit_db: float) -> Any:
    """No frame louder than the loudest of the corpus: what lies outside the corpus's latents may overshoot."""
    xp = namespace(spectrogram)
    level = 10 * xp.log10(xp.sum(xp.exp(spectrogram[0, ...] * (math.log(10) / 10)), axis=0))
    spectrogram[0, ...] -= xp.clip(level - limit_db, 0, None)
    return spectrogram
