"""`distill.blend`: models as one voice, with the same `generate` and `stream` as a model.

    spectral   models of one spectrogram decode side by side, and their spectrograms are morphed into one
    latent     models of one latent space decode the same latents, those of the heaviest; morphed in the same way
    audio      any models, each with its own sound, mixed at equal power

A model that is alone, because all other weights are 0, sounds as it does outside the blend, bit for bit.
"""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from distill.arrays import in_one_place
from distill.cuda import guarded
from distill.errors import InvalidValue
from distill.foreseen import Foreseen
from distill.knobs import Knobs
from distill.model import Model
from distill.render import Mixture, Voice, blocks, render, sounded
from distill.resample import resampled
from distill.spec import SpectrogramSpec

from .audio import Take, mixed_sounds
from .fit import common_spec, need_one_latent_space, on_floor
from .mix import morph
from .slot import ModelSlot
from .streams import aligned
from .weights import Weights

if TYPE_CHECKING:
    from distill.live.steering import SteeredWeights, Steering

Array = NDArray[np.float32]
BlendMode = Literal["spectral", "latent", "audio"]
MODES: tuple[str, ...] = get_args(BlendMode)


class Blended(ABC):
    """Several models, played as one. Safe to share between threads: every call has its own state."""

    def __init__(self, slots: Sequence[ModelSlot], mode: BlendMode, steered: bool = False) -> None:
        """steered: weights will be moved while it plays, so that a model of weight 0 has to be at hand too."""
        self.slots, self.mode = tuple(slots), mode
        playing = [slot for slot in self.slots if slot.enabled]
        if not playing:
            raise InvalidValue("there is nothing to blend: no slot is enabled")
        self._weights = Weights(tuple(slot.curve for slot in playing))
        if not steered:  # a weight that is always 0 costs nothing
            playing = [playing[i] for i in self._weights.used]
            self._weights = Weights(tuple(slot.curve for slot in playing))
        self.models: tuple[Model, ...] = tuple(slot.model for slot in playing)
        self.labels = tuple(slot.name for slot in playing)

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def name(self) -> str:
        return "+".join(dict.fromkeys(model.name for model in self.models))

    @property
    def about(self) -> dict[str, Any]:
        """As `Model.about`, with what each model of the blend is and how much of it."""
        each = [model.about for model in self.models]
        slots = [{**about, "label": label, "weight": list(curve)}
                 for about, label, curve in zip(each, self.labels, self._weights.curves, strict=True)]
        joined = {key: "+".join(dict.fromkeys(str(about[key]) for about in each)) for key in ("provider", "variant")}
        return {"model": self.name, "model_id": "+".join(about["model_id"] for about in each), **joined,
                "threads": max(about["threads"] for about in each), "blend": {"mode": self.mode, "slots": slots}}

    @property
    def moving(self) -> bool:
        """Whether weights move over the length of the sound, which then must have one."""
        return self._weights.moving

    @property
    def weights(self) -> Weights:
        """Those of `models`, which are the ones that can be heard."""
        return self._weights

    def steered(self) -> Self:
        """The same, with every enabled model at hand, for weights that are moved while it plays."""
        return type(self)(self.slots, self.mode, steered=True)

    @property
    @abstractmethod
    def _voice(self) -> Voice | Mixture:
        """Itself, as what it is to `render`."""

    def generate(self, seconds: float = 10.0, **knobs: Any) -> Array:
        """As `Model.generate`."""
        return np.concatenate(list(render(self._voice, Knobs.of(**knobs), seconds)), axis=-1)

    def stream(self, seconds: float | None = None, *, block: int = 512, **knobs: Any) -> Iterator[Array]:
        """As `Model.stream`. Raises InvalidValue where weights move and `seconds` is missing."""
        wishes = Knobs.of(**knobs)
        if wishes.quality == "high":
            raise InvalidValue("quality 'high' needs the whole file and cannot stream; use fast or balanced")
        self._check_moves(seconds, wishes)
        return blocks(render(self._voice, wishes, seconds), block)

    def _check_moves(self, total: float | None, knobs: Knobs) -> None:
        if self.moving and total is None:
            raise InvalidValue("weights that move need a sound with an end; give it a length, or constant weights")
        if self.moving and knobs.loop:
            raise InvalidValue("weights that move from the start of a sound to its end cannot be looped")

    def _own_knobs(self, knobs: Knobs) -> list[Knobs]:
        """The knobs for each model: a slider moves those that have it. Raises InvalidValue where none does."""
        own = [model.sliders.own(knobs.sliders) for model in self.models]
        for name in knobs.sliders:
            if not any(name in sliders for sliders in own):
                self.models[0].sliders.index(name)  # says which there are
        return [replace(knobs, sliders=sliders) for sliders in own]

    def _take(self, total: int | None, steer: Steering | None, rate: float) -> Take:
        """Weights of the steps to come; `total` of them in all, at `rate` Hz."""
        if steer is not None:
            return steer.weights(rate)
        weights, last, done = self._weights, max(1, (total or 1) - 1), 0

        def take(count: int) -> NDArray[np.float64]:
            nonlocal done
            done += count
            return weights.at(np.arange(done - count, done) / last)

        return take


class SpectrogramBlend(Blended):
    """Models whose spectrograms mean the same, as one spectrogram: one phase."""

    def __init__(self, slots: Sequence[ModelSlot], mode: BlendMode, steered: bool = False) -> None:
        super().__init__(slots, mode, steered)
        enabled = [slot.model for slot in slots if slot.enabled]
        common_spec(enabled)
        if mode == "latent":
            need_one_latent_space(enabled)

    @property
    def _voice(self) -> Voice:
        return self

    @cached_property
    def spec(self) -> SpectrogramSpec:
        """What its spectrograms mean."""
        return common_spec(self.models)

    @property
    def sample_rate(self) -> int:
        return self.spec.sample_rate

    @property
    def gain_db(self) -> float:
        """That of the first model; with loudness "equal" the others are brought to its level before the morph."""
        return self.models[0].gain_db

    def spectrograms(self, knobs: Knobs, frames: int | None, lane: int = 0,
                     steer: Steering | None = None) -> Iterator[Array]:
        """As `Model.spectrograms`."""
        self._check_moves(frames, knobs)
        knobs_of = self._own_knobs(knobs)
        if len(self.models) == 1:
            return self.models[0].spectrograms(knobs_of[0], frames, lane, steer)
        if self.mode == "latent":
            streams = self._through_one_space(knobs_of, frames, lane, steer)
        else:
            streams = aligned([model.spectrograms(own, frames, lane, steer)
                               for model, own in zip(self.models, knobs_of, strict=True)])
        gains = self._gains(knobs)
        if steer is not None and isinstance(streams, Foreseen):
            return Foreseen(self._steered(streams, gains, steer.weights(self.spec.frame_rate_hz)))
        take = self._take(frames, steer, self.spec.frame_rate_hz)
        return (self._morphed(pieces, gains, take) for pieces in streams)

    def _through_one_space(self, knobs_of: Sequence[Knobs], frames: int | None, lane: int,
                           steer: Steering | None) -> Iterator[list[Array]]:
        """The latents of the model that leads, through every decoder."""
        at = self._weights.lead
        lead, own = self.models[at], knobs_of[at]
        if steer is not None:
            return steer.spectrograms(lead, self.models, own, frames, lane)
        latents = itertools.tee(lead.latents(own, frames, lane), len(self.models))
        chunk, cut = lead.sidecar.chunking.recommended_chunk, lead.cut(own)
        return aligned([model.decoded(pieces, chunk, cut)
                        for model, pieces in zip(self.models, latents, strict=True)])

    def _gains(self, knobs: Knobs) -> list[float]:
        """What makes each model as loud as the others, dB: weights are of sounds that are equally loud."""
        return [model.gain_db if knobs.loudness == "equal" else 0.0 for model in self.models]

    def _steered(self, streams: Foreseen[list[Any]], gains: list[float],
                 weights: SteeredWeights) -> Iterator[tuple[Any, Callable[[int], Any]]]:
        def ahead(frames: int) -> Any:
            return self._morphed(streams.ahead(frames), gains, weights.ahead)

        return ((self._morphed(pieces, gains, weights), ahead) for pieces in streams)

    def _morphed(self, pieces: list[Any], gains: list[float], take: Take) -> Any:
        """One piece of each model, equally long, as one."""
        pieces = in_one_place(pieces)
        with contextlib.nullcontext() if isinstance(pieces[0], np.ndarray) else guarded():
            parts = [on_floor(piece, model.spec.floor_db, self.spec.floor_db, gain)
                     for piece, model, gain in zip(pieces, self.models, gains, strict=True)]
            return morph(parts, take(parts[0].shape[2]))


class AudioBlend(Blended):
    """Any models, mixed as sound, at the highest of their rates."""

    @property
    def _voice(self) -> Mixture:
        return self

    @cached_property
    def sample_rate(self) -> int:
        return max(model.sample_rate for model in self.models)

    def sounds(self, knobs: Knobs, total: int | None, lane: int = 0,
               steer: Steering | None = None) -> Iterator[Array]:
        """Pieces of samples, at least `total` in all, or endless."""
        self._check_moves(total, knobs)
        if knobs.loop and len({model.sample_rate for model in self.models}) > 1:
            raise InvalidValue("models of different sample rates cannot be looped together")
        streams = []
        for model, own in zip(self.models, self._own_knobs(knobs), strict=True):
            voice = model if steer is None else steer.voice(model)
            length = None if total is None else -(-total * model.sample_rate // self.sample_rate)
            streams.append(resampled(sounded(voice, own, length, lane), model.sample_rate, self.sample_rate))
        return streams[0] if len(streams) == 1 else mixed_sounds(streams, self._take(total, steer, self.sample_rate))


Blend: TypeAlias = SpectrogramBlend | AudioBlend


def blend(slots: Sequence[ModelSlot], mode: BlendMode = "spectral") -> Blend:
    """Models as one voice: something with the same `generate` and `stream` as a Model.

    Raises InvalidValue for a mode, weights or models that do not go together, and says what would.
    """
    if mode not in MODES:
        raise InvalidValue(f"blend mode is {mode!r}; it must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return AudioBlend(slots, mode) if mode == "audio" else SpectrogramBlend(slots, mode)
