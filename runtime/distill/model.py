"""A loaded model: everything that makes sound from a bundle, without PyTorch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import dsp
from .bundle import Bundle, open_bundle
from .decoder import ChunkDecoder
from .engine import Device, Engine
from .errors import InvalidValue, NumericError
from .prior import Prior
from .sidecar import Sidecar
from .spec import SpectrogramSpec
from .walk import Gaussian, Walk

Array = NDArray[np.float32]
Mode = Literal["walk"]
Quality = Literal["fast", "balanced", "high"]

LONGEST_SECONDS = 24 * 3600.0  # of one call with seconds=; endless streams have no limit
_FADE_IN, _FADE_OUT = 0.005, 0.02  # seconds; a sound that is cut out of another neither starts nor ends with a click


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

    def stream(self, seconds: float | None = None, *, seed: int = 0, mode: Mode = "walk", wander: float = 0.3,
               quality: Quality = "balanced", block: int = 512) -> Iterator[Array]:
        """Blocks of `block` samples (the last may be shorter), endless unless `seconds` is given.

        Concatenated they are `generate` with the same knobs, bit for bit, whatever the block.
        quality "high" needs the whole file and is refused.
        """
        if not isinstance(block, int) or not 1 <= block <= 1 << 26:
            raise InvalidValue(f"block is {block!r}; it must be a whole number of samples, at least 1")
        if quality == "high":
            raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
        pieces = self._render(seconds, seed, mode, wander, quality)
        return _blocks(pieces, block)

    def generate(self, seconds: float = 10.0, *, seed: int = 0, mode: Mode = "walk", wander: float = 0.3,
                 quality: Quality = "balanced") -> Array:
        """Make `seconds` of sound: float32 [samples] at `sample_rate`. The same seed gives the same samples.

        mode: "walk" follows the encoded corpus. wander: 0 stays with the recordings, 1 goes far from them.
        """
        return np.concatenate(list(self._render(seconds, seed, mode, wander, quality)))

    def _render(self, seconds: float | None, seed: int, mode: str, wander: float, quality: str) -> Iterator[Array]:
        """Check every knob now, make sound when asked for."""
        total = None if seconds is None else _checked_samples(seconds, self.sample_rate)
        if mode != "walk":
            raise InvalidValue(f"mode is {mode!r}; it must be walk")
        if quality not in ("fast", "balanced", "high"):
            raise InvalidValue(f"quality is {quality!r}; it must be fast, balanced or high")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:
            raise InvalidValue(f"seed is {seed!r}; it must be a whole number from 0 to 2^63 - 1")
        if not (isinstance(wander, (int, float)) and 0 <= wander <= 1):
            raise InvalidValue(f"wander is {wander!r}; it must be a number from 0 to 1")
        latent = self.sidecar.latent
        mean, std = np.array(latent.mean, np.float32), np.array(latent.std, np.float32)
        source: Walk | Gaussian
        if self.prior is not None:
            source = Walk(self.prior, latent.rate_hz, seed, float(wander))
        else:
            source = Gaussian(mean, std, latent.rate_hz, seed)
        return self._samples(source, total, quality)

    def _samples(self, source: Walk | Gaussian, total: int | None, quality: str) -> Iterator[Array]:
        latents = self._latents(source, total)
        limit = np.float32(self.sidecar.loudness.frame_limit_db)
        spectrograms = (_held_down(self._decoder.denormalise(part), limit) for part in self._decoder.stream(latents))
        if quality == "high":
            whole = np.concatenate(list(spectrograms), axis=2)
            pieces: Iterator[Array] = iter([dsp.synthesize(whole, self.spec, "high", total)])
        else:
            pieces = _synthesized(spectrograms, dsp.Synthesizer(self.spec, quality))
        return _faded(pieces, total, self.sample_rate)

    def _latents(self, source: Walk | Gaussian, total: int | None) -> Iterator[Array]:
        """Latent frames for `total` samples, a chunk of the grid at a time."""
        left = None if total is None else -(-self.spec.frames(total) // self._decoder.frames_per_latent)
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


def _checked_samples(seconds: float, sample_rate: int) -> int:
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidValue(f"seconds is {seconds!r}; it must be a number above 0 and at most {LONGEST_SECONDS:.0f}")
    return max(1, round(seconds * sample_rate))


def _synthesized(spectrograms: Iterator[Array], synthesizer: dsp.Synthesizer) -> Iterator[Array]:
    for spectrogram in spectrograms:
        yield synthesizer.push(spectrogram)
    yield synthesizer.flush()


def _held_down(spectrogram: Array, limit_db: np.float32) -> Array:
    """No frame louder than the loudest of the corpus: what lies outside the corpus's latents may overshoot."""
    level = 10 * np.log10(np.exp(spectrogram[0] * np.float32(np.log(10) / 10)).sum(axis=0))
    spectrogram[0] -= np.maximum(level - limit_db, 0)
    return spectrogram


def _faded(pieces: Iterator[Array], total: int | None, sample_rate: int) -> Iterator[Array]:
    """Short fades at the ends, and exactly `total` samples."""
    fade_in = _ramp(round(_FADE_IN * sample_rate))
    fade_out = _ramp(round(_FADE_OUT * sample_rate))[::-1]
    done = 0
    for piece in pieces:
        if total is not None:
            piece = piece[:total - done]
        if len(piece) == 0:
            continue
        stop = done + len(piece)
        if done < len(fade_in):
            part = fade_in[done:stop]
            piece[:len(part)] *= part
        if total is not None and stop > total - len(fade_out):
            first = max(done, total - len(fade_out))
            at = first - (total - len(fade_out))
            piece[first - done:] *= fade_out[at:at + stop - first]
        if not np.isfinite(piece).all():
            raise NumericError("synthesis gave samples that are not finite")
        yield piece
        done = stop
    if total is not None and done < total:  # the last frame's window can end a few samples early
        yield np.zeros(total - done, np.float32)


def _ramp(samples: int) -> Array:
    """Half a Hann window, 0 to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)


def _blocks(pieces: Iterator[Array], block: int) -> Iterator[Array]:
    """The same samples, `block` at a time."""
    waiting: list[Array] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < block:
            continue
        joined = np.concatenate(waiting)
        whole = count - count % block
        for start in range(0, whole, block):
            yield joined[start:start + block]
        waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)
