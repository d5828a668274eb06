"""The corpus through the encoder: trajectories for the prior, statistics for the sidecar."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distill.decoder import ChunkDecoder
from distill.prior import Prior
from distill.sidecar import Latent, Pca
from distill.spec import SpectrogramSpec
from distill_train.network import Encoder
from distill_train.statistics import Statistics

from .wander import gentle

Array = NDArray[np.float32]

_QUIET_DB = 70.0  # under a recording's loudest frame: what lies before and after this is silence, not sound
_PCA_AXES = 16


@dataclass(frozen=True)
class EncodedCorpus:
    """latents: one [latent_dim, latent_frames] a recording, without the silence at its ends; files: their names;
    power: [latent_frames], the loudest spectrogram frame of each latent one, summed over the bands.
    """

    latents: list[Array]
    files: list[str]
    power: list[NDArray[np.float64]]
    loudest_db: float  # of all frames, power summed over the bands

    @property
    def joined(self) -> Array:
        """All recordings, [latent_dim, total]."""
        return np.concatenate(self.latents, axis=1)

    def prior_bytes(self, rate_hz: float, decoder: ChunkDecoder) -> bytes:
        """`prior.npz`. float16: a latent has unit scale, and the error is far below one step of wander."""
        offsets = np.cumsum([0, *(part.shape[1] for part in self.latents)], dtype=np.int64)
        latents = self.joined.astype(np.float16)
        nothing = np.empty((0, 0), np.float32)
        level = (10 * np.log10(np.maximum(np.concatenate(self.power), 1e-20))).astype(np.float16)
        prior = Prior(latents.astype(np.float32), offsets, tuple(self.files), nothing, level.astype(np.float32))
        return npz_bytes(latents=latents, offsets=offsets, files=np.array(self.files), level=level,
                         spread=gentle(prior.measure_spread(rate_hz), prior, rate_hz, decoder))


def encode_corpus(encoder: Encoder, spectrograms: Iterable[tuple[str, Array]], stats: Statistics) -> EncodedCorpus:
    """spectrograms: (name, [2, n_mels, frames] in dB and IF units) for each recording."""
    latents, files, powers, loudest = [], [], [], 0.0
    ratio = encoder.config.frames_per_latent
    for name, spectrogram in spectrograms:
        padded = np.pad(spectrogram, ((0, 0), (0, 0), (0, -spectrogram.shape[2] % ratio)), mode="edge")
        normalised = (padded - np.reshape(stats.mean, (2, 1, 1))) / np.reshape(stats.std, (2, 1, 1))
        with torch.inference_mode():
            mean, _ = encoder(torch.from_numpy(normalised.astype(np.float32))[None])
        power = (10.0 ** (padded[0].astype(np.float64) / 10)).sum(axis=0).reshape(-1, ratio).max(axis=1)
        loudest = max(loudest, float(power.max()))
        first, last = _sounding(power)
        latents.append(mean[0, :, first:last].numpy().copy())
        powers.append(power[first:last])
        files.append(name)
    return EncodedCorpus(latents, files, powers, float(10 * np.log10(loudest)))


def latent_facts(corpus: EncodedCorpus, frames_per_latent: int, spec: SpectrogramSpec) -> Latent:
    """Mean, spread and principal axes of all latents."""
    joined = corpus.joined.astype(np.float64)
    mean, std = joined.mean(axis=1), np.maximum(joined.std(axis=1), 1e-4)
    values, vectors = np.linalg.eigh(np.cov(joined, bias=True).reshape(len(mean), len(mean)))
    order = np.argsort(values)[::-1][:_PCA_AXES]
    axes = vectors[:, order].T
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # eigenvectors have no sign
    along = axes @ (joined - mean[:, None])
    low, mid, high = (np.percentile(along, q, axis=1) for q in (1, 50, 99))
    share = np.maximum(values[order], 0) / max(values.sum(), 1e-12)
    pca = Pca(components=_rounded(axes), variance_ratio=_rounded(share), p01=_rounded(low), p50=_rounded(mid),
              p99=_rounded(high))
    return Latent(dim=len(mean), frames_per_latent=frames_per_latent, rate_hz=spec.frame_rate_hz / frames_per_latent,
                  mean=_rounded(mean), std=_rounded(std), pca=pca)


def npz_bytes(**arrays: NDArray[Any]) -> bytes:
    """Arrays as the bytes of an .npz; numpy dates every entry 1980, so the same arrays give the same bytes.

    Not compressed: latents would be a tenth smaller, and take longer to unpack than all else to read.
    """
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _sounding(power: NDArray[np.float64]) -> tuple[int, int]:
    """First latent frame with sound, and the one after the last."""
    loud = np.flatnonzero(power > power.max() * 10 ** (-_QUIET_DB / 10))
    return max(0, int(loud[0]) - 1), min(len(power), int(loud[-1]) + 2)


def _rounded(array: NDArray[np.float64]) -> Any:
    """Numbers as Python floats with seven digits: a sidecar is read by people too."""
    return np.vectorize(lambda v: float(f"{v:.7g}"), otypes=[float])(array).tolist()
