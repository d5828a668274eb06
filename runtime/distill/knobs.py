"""The knobs of one call, checked. Facts of a model are in its sidecar; these are wishes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import force_setattr

from .errors import InvalidValue
from .sliders import SliderValues

Mode = Literal["walk", "crossfade", "interpolate", "vector"]
Quality = Literal["fast", "balanced", "high"]
Loudness = Literal["equal", "model"]

_LARGEST_LATENT = 100.0  # latents have a scale of about one


class Use(Struct, frozen=True):
    """Where a knob belongs. low, high: its range where it is a number; default: None where that is not one number."""

    modes: tuple[Mode, ...]
    low: float | None = None
    high: float | None = None
    default: float | None = None


# The knobs that only some modes know. docs/generation.md has the figures behind the defaults.
USES: dict[str, Use] = {
    "wander": Use(("walk", "crossfade", "interpolate"), 0.0, 1.0, 0.3),
    "jumps": Use(("walk",), 0.0, 10.0, 1 / 3),
    "near": Use(("walk", "crossfade", "interpolate")),
    "density": Use(("walk", "crossfade"), 0.02, 12.0),
    "segment": Use(("crossfade",), 0.2, 60.0, 3.0),
    "overlap": Use(("crossfade",), 0.02, 30.0),
    "interval": Use(("interpolate",), 0.05, 600.0, 2.0),
    "latent": Use(("vector",)),
    "evolution": Use(("vector",), 0.0, 1.0, 0.3),
}


# Where two channels put the sound: lowest and highest value, default.
PLACE: dict[str, tuple[float, float, float]] = {
    "width": (0.0, 2.0, 1.0),
    "azimuth": (-180.0, 180.0, 0.0),
    "turn": (-90.0, 90.0, 0.0),
}


class Knobs(Struct, frozen=True):
    """How to make a sound. Raises InvalidValue that names the knob and what is allowed."""

    seed: int = 0  # the same seed gives the same samples
    mode: Mode = "walk"
    # Knobs that only some modes know (`USES`); None is the default, which `chosen` gives.
    wander: float | None = None  # 0 stays with the recordings, 1 goes as far as from a recording to its neighbours
    jumps: float | None = None  # a second, on average, from one recording to a place in another that is alike
    near: str | None = None  # the recording to start from, by its name
    density: float | None = None  # sounds that begin a second; None leaves it to the corpus
    segment: float | None = None  # seconds from the start of a segment to its end, overlaps included
    overlap: float | None = None  # seconds during which a segment fades into the next; a third of a segment
    interval: float | None = None  # seconds from anchor to anchor
    latent: tuple[float, ...] | None = None  # the vector to stay at; None is a typical one of the corpus
    evolution: float | None = None  # 0 is frozen in the latents, 1 moves freely around the vector
    loop: bool = False  # the end meets the beginning
    quality: Quality = "balanced"  # of the phase: fast, balanced; high needs the whole file
    sliders: Mapping[Any, float] = SliderValues()  # name, or number from 1 -> value in -10..10; 0 changes nothing
    loudness: Loudness = "equal"  # as loud as every other model, and limited; "model" leaves the model's own level
    channels: int = 1  # 1, or 2 for stereo
    width: float | None = None  # of two channels: 0 is mono, 1 (None) wide, 2 wider than the loudspeakers
    binaural: bool = False  # two channels for headphones
    azimuth: float | None = None  # degrees where headphones hear the middle: 0 (None) in front, 90 right, -90 left
    turn: float | None = None  # degrees a second by which that moves to the right; None is 0

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise InvalidValue(f"seed is {self.seed!r}; it must be a whole number from 0 to 2^63 - 1")
        _one_of("mode", self.mode, get_args(Mode))
        _one_of("quality", self.quality, get_args(Quality))
        if not isinstance(self.loop, bool):
            raise InvalidValue(f"loop is {self.loop!r}; it must be true or false")
        for name, use in USES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if self.mode not in use.modes:
                raise InvalidValue(f"{name} has no meaning in mode {self.mode}; it belongs to {_listed(use.modes)}")
            if use.low is not None and use.high is not None:
                _between(name, value, use.low, use.high)
        if self.near is not None and not isinstance(self.near, str):
            raise InvalidValue(f"near is {self.near!r}; it must be the name of a recording")
        if self.density is not None and self.jumps is not None:
            raise InvalidValue("jumps has no meaning with density: each sound that begins is a jump already")
        if self.mode == "crossfade" and 2 * self.chosen("overlap") > self.chosen("segment") * (1 + 1e-9):
            raise InvalidValue(f"overlap is {self.chosen('overlap'):g} s; it must be at most half of the segment of "
                               f"{self.chosen('segment'):g} s")
        if self.latent is not None:
            force_setattr(self, "latent", _numbers("latent", self.latent))
        force_setattr(self, "sliders", SliderValues(self.sliders))
        self._check_place()

    def _check_place(self) -> None:
        check_loudness(self.loudness)
        if isinstance(self.channels, bool) or self.channels not in (1, 2):
            raise InvalidValue(f"channels is {self.channels!r}; it must be 1 or 2")
        if not isinstance(self.binaural, bool):
            raise InvalidValue(f"binaural is {self.binaural!r}; it must be true or false")
        for name, (low, high, _) in PLACE.items():
            if getattr(self, name) is not None:
                _between(name, getattr(self, name), low, high)
        if self.channels == 1 and (self.binaural or self.width is not None):
            raise InvalidValue(f"{'binaural' if self.binaural else 'width'} needs two channels; with one it has no "
                               "meaning")
        for name in ("azimuth", "turn"):
            if getattr(self, name) is not None and not self.binaural:
                raise InvalidValue(f"{name} is where headphones hear the sound; it needs binaural")

    def chosen(self, name: str) -> float:
        """A number out of `USES` or `PLACE`: as it was given, or its default."""
        value: float | None = getattr(self, name)
        if value is not None:
            return value
        if name == "overlap":
            return self.chosen("segment") / 3
        default = PLACE[name][2] if name in PLACE else USES[name].default
        assert default is not None, name
        return default

    @classmethod
    def of(cls, **wishes: Any) -> Knobs:
        """Knobs from keyword arguments; an unknown one is an InvalidValue that lists those there are."""
        known = cls.__struct_fields__
        unknown = sorted(set(wishes) - set(known))
        if unknown:
            raise InvalidValue(f"unknown knob {unknown[0]!r}; there are {', '.join(known)}")
        return cls(**wishes)


def check_loudness(loudness: object) -> None:
    """Raises InvalidValue for what is no Loudness."""
    _one_of("loudness", loudness, get_args(Loudness))


def _listed(modes: Iterable[str]) -> str:
    names = list(modes)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        raise InvalidValue(f"{name} is {value!r}; it must be a list of numbers, one a dimension") from None
    for i, number in enumerate(numbers):
        if not abs(number) <= _LARGEST_LATENT:
            raise InvalidValue(f"{name}[{i}] is {number}; it must be a number from -{_LARGEST_LATENT:g} to "
                               f"{_LARGEST_LATENT:g}")
    return numbers


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidValue(f"{name} is {value!r}; it must be {' or '.join([', '.join(allowed[:-1]), allowed[-1]])}"
                           if len(allowed) > 1 else f"{name} is {value!r}; it must be {allowed[0]}")


def _between(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise InvalidValue(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
