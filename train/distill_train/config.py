"""The numbers of a network and of its training. Frozen: what a run began with is what it ends with."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from distill.errors import InvalidValue
from distill.spec import SpectrogramSpec

from .options import DEFAULT_SIZE

REACH = 3  # bands to either side that a frequency is read off
LOOKS = 6  # features of such a neighbourhood
KNOTS = 16  # places along the bands where these have offsets of their own


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The shape of the VAE. The decoder mirrors the encoder, so one set of numbers describes both."""

    n_mels: int  # bands of the spectrogram
    parts: tuple[int, ...]  # latents of each part of a patch, its cosines over time, the slowest first
    frames_per_latent: int = 2  # spectrogram frames that one latent frame stands for
    width: int = 160  # features between the blocks
    blocks: int = 2  # ConvNeXt blocks on either side
    expansion: int = 3  # hidden width of a block / width
    kernel_size: int = 7  # latent frames that a block's convolution sees; odd

    def __post_init__(self) -> None:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "parts"}
        for name, value in [*values.items(), *(("each of parts", value) for value in self.parts)]:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidValue(f"{name} is {value!r}; it must be a whole number of at least 1")
        if self.kernel_size % 2 == 0:
            raise InvalidValue(f"kernel_size is {self.kernel_size}; it must be odd")
        if len(self.parts) != self.frames_per_latent or max(self.parts) > self.n_mels:
            raise InvalidValue(f"parts are {self.parts}; they must be {self.frames_per_latent} numbers of at most "
                               f"{self.n_mels}, the bands")

    @property
    def latent_dim(self) -> int:
        """Numbers in one latent frame."""
        return sum(self.parts)

    @property
    def patch_size(self) -> int:
        """Levels in one patch: frames_per_latent frames of n_mels bands."""
        return self.frames_per_latent * self.n_mels


class Shape(NamedTuple):
    """Of the blocks."""

    width: int
    blocks: int


class Size(NamedTuple):
    """What `--size` chooses."""

    most: Shape
    enough: Shape  # where the components leave nothing out that matters, so that the blocks have little to add
    latents: int  # for each spectrogram frame, at most
    mmac: float  # of the decoder, million multiply-accumulates for a second of sound: the width keeps to it


SIZES = {
    "small": Size(Shape(96, 2), Shape(32, 1), 256, 50),
    "base": Size(Shape(160, 2), Shape(32, 1), 512, 65),
    "large": Size(Shape(320, 3), Shape(160, 2), 512, math.inf),
}
_WIDTH_STEP = 16


def check_size(size: str) -> None:
    """Raise InvalidValue unless `size` is a name that `--size` knows."""
    if size not in SIZES:
        raise InvalidValue(f"size is {size!r}; it must be one of {', '.join(SIZES)}")


STORED_NUMBERS = 24_000_000  # of the corpus as latents, which every bundle has: 48 MB of file, twice that in memory
FEWEST_PER_FRAME = 64  # however long the corpus
LATENT_RATE_HZ = 46.875  # latent frames come about as often, whatever the hop: so the cost and the reach stay


def frames_per_latent(frame_rate_hz: float) -> int:
    """The power of two that brings the latents nearest to LATENT_RATE_HZ: 2 at a hop of 512 samples, 4 at 256."""
    return 1 << max(0, round(math.log2(frame_rate_hz / LATENT_RATE_HZ)))


def network_config(
    size: str, spec: SpectrogramSpec, parts: tuple[int, ...] | None = None, enough: bool = False
) -> NetworkConfig:
    """The network for a `--size` name, the spectrograms that it is to learn and the latents of each part of a patch.

    How many these are is for the corpus to say (`pca.Components.fit`); without them, as many as it may have. enough:
    they leave nothing out that matters, so the blocks, which add what components cannot, may be few. Where there are
    many latents, the blocks are narrower, so that the decoder keeps to what the size may cost: what components leave
    out is heard more. Where bands and latents alone cost more than that, the blocks are _WIDTH_STEP wide.
    """
    check_size(size)
    limits = SIZES[size]
    per_latent = frames_per_latent(spec.frame_rate_hz)
    parts = parts or (min(limits.latents, spec.n_mels),) * per_latent
    shape = limits.enough if enough else limits.most
    network = NetworkConfig(spec.n_mels, parts, per_latent, **shape._asdict())
    while decoder_mmac_per_second(network, spec.frame_rate_hz) > limits.mmac and network.width > _WIDTH_STEP:
        network = replace(network, width=network.width - _WIDTH_STEP)
    return network


def decoder_mmac_per_second(config: NetworkConfig, frame_rate_hz: float) -> float:
    """Millions of multiply-accumulates that decoding one second of audio costs (biases and activations left out)."""
    width, frames = config.width, config.frames_per_latent
    block = width * config.kernel_size + 2 * config.expansion * width * width
    blocks = config.latent_dim * width + config.blocks * block + width * config.patch_size
    direct = config.latent_dim * config.n_mels + frames * config.patch_size
    reading = frames * config.n_mels * LOOKS * (2 * (2 * REACH + 1) + 1)  # to look at two frames, to say
    return (blocks + direct + reading) * frame_rate_hz / frames / 1e6


def size_of(network: NetworkConfig, spec: SpectrogramSpec, first: str = DEFAULT_SIZE) -> str:
    """The `--size` that has this shape with these spectrograms and latents, or "other".

    Where components are enough, or many latents leave little width, two sizes may have one shape: then it is `first`,
    if that is among them.
    """
    for size in sorted(SIZES, key=lambda size: size != first):
        shapes = [network_config(size, spec, network.parts, enough) for enough in (False, True)]
        if any((shape.width, shape.blocks) == (network.width, network.blocks) for shape in shapes):
            return size
    return "other"


def affordable_latents(per_latent: int, latent_frames: int) -> int:
    """Latents that a corpus of so many latent frames may have, whose latents every bundle brings along."""
    return max(FEWEST_PER_FRAME * per_latent, STORED_NUMBERS // max(1, latent_frames))


class ReceptiveField(NamedTuple):
    """Latent frames that one output frame depends on, besides its own, to either side."""

    left: int
    right: int


def receptive_field(config: NetworkConfig) -> ReceptiveField:
    """Of the blocks, of decoder and encoder alike: each one's convolution reaches (kernel_size - 1) / 2 frames."""
    reach = config.blocks * (config.kernel_size - 1) // 2
    return ReceptiveField(reach, reach)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The defaults are the ones that measured best."""

    batch_size: int = 8  # crops in a step
    crop_frames: int = 64  # spectrogram frames in a crop: 32 latent frames
    crop_margin: int = 48  # frames beyond either end where a crop may be drawn, then pulled back in: 24 latent frames
    pitches: tuple[str, ...] = ("original",)  # copies to train on, keys of audio.PITCH_RATIOS; originals come first
    learning_rate: float = 2e-3  # the peak of the cosine
    linear_rate: float = 0.05  # times the learning rate: for the principal components
    reader_rate: float = 6.0  # times the learning rate: for what reads frequencies off levels
    warmup_steps: int = 50  # steps from zero to the peak
    weight_decay: float = 1e-2  # on the matrices that were not fitted before the first step
    clip_norm: float = 1.0  # of the gradient
    ema_decay: float = 0.995  # a step
    ema_every: int = 5  # steps between updates of the average
    kl_weight: float = 1e-5  # beta
    kl_warmup_steps: int = 200  # steps over which beta rises from zero
    loud_weight: float = 0.3  # of the levels of loud bands, which count once more
    level_jitter_db: float = 3.0  # crops are made louder or softer by up to this much
    precision: str = "fp32"  # "fp32" | "bf16" autocast

    def __post_init__(self) -> None:
        for name in ("batch_size", "crop_frames", "ema_every"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} is {getattr(self, name)!r}; it must be at least 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InvalidValue(f"learning rate is {self.learning_rate!r}; it must be a number above 0")
        if self.precision not in ("fp32", "bf16"):
            raise InvalidValue(f"precision is {self.precision!r}; it must be fp32 or bf16")
