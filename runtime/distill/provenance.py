"""What made a sound, kept in the sound file itself: enough to make it again.

The recipe is one line of compact JSON in the file's comment: the INFO chunk's ICMT in WAV and RF64, the COMMENT tag in
FLAC and Ogg, ID3's COMM in MP3, the ANNO chunk in AIFF. It holds no time and no path, so the same sound is the same
file.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from .errors import FileError, InvalidValue, NotFound
from .knobs import Knobs
from .sidecar import ModelId, Part, Variant, strict_json

if TYPE_CHECKING:
    from .blending import Blend
    from .model import Model

KEY = "distill"  # the first key of a recipe, and how one is told from any other comment
_LARGEST_INFO = 1 << 20  # bytes of a LIST chunk that are looked at


class Slot(Part, frozen=True):
    """One model of a blend."""

    model: str
    model_id: ModelId
    variant: Variant
    label: str
    weight: list[float]


class BlendRecipe(Part, frozen=True):
    """How several models made one sound."""

    mode: str
    slots: list[Slot]


class Anchor(Part, frozen=True):
    """A recording of the user's that the sound began with."""

    name: str
    latents_sha256: Annotated[str, Meta(description="of its latents, float32, in the first model that knows it")]


class Recipe(Part, frozen=True, omit_defaults=True):
    """Everything that decided about the samples of a file, but for a recording that the sound began with."""

    distill: Annotated[str, Meta(description="version")]
    model: str
    model_id: Annotated[str, Meta(description="of the weights; for a blend, all of them, joined by +")]
    variant: str
    device: Literal["cpu", "cuda"]
    seconds: float
    sample_rate: int
    bit_depth: Annotated[Literal["16", "24", "float"] | None, Meta(description="null in lossy formats")]
    seed: int
    mode: str
    knobs: Annotated[dict[str, Any], Meta(description="all others, at what they were")]
    license: str
    blend: BlendRecipe | None = None
    anchor: Anchor | None = None

    @classmethod
    def of(cls, voice: Model | Blend, knobs: Knobs, seconds: float, sample_rate: int,
           bit_depth: Literal["16", "24", "float"] | None) -> Recipe:
        """The recipe of what is about to be written. sample_rate and bit_depth are the file's."""
        from . import __version__

        about = voice.about
        rest = {key: value for key, value in asdict(knobs).items() if value is not None and key not in ("seed", "mode")}
        return cls(distill=__version__, model=about["model"], model_id=about["model_id"], variant=about["variant"],
                   device="cuda" if "CUDA" in about["provider"] else "cpu", seconds=float(seconds),
                   sample_rate=sample_rate, bit_depth=bit_depth, seed=knobs.seed, mode=knobs.mode, knobs=rest,
                   license=_license(voice), blend=_blend(about.get("blend")),
                   anchor=anchor_of(voice))

    @property
    def wishes(self) -> dict[str, Any]:
        """All knobs, the seed too, as `Knobs.of` takes them."""
        return {"seed": self.seed, "mode": self.mode, **self.knobs}

    @property
    def facts(self) -> dict[str, Any]:
        """The recipe as plain values."""
        facts: dict[str, Any] = msgspec.to_builtins(self)
        return facts

    def text(self) -> str:
        """What is written into the file."""
        return _line(self.facts)


def _line(facts: dict[str, Any]) -> str:
    """One line of JSON, ASCII only: some formats know no other letters."""
    with contextlib.suppress(UnicodeEncodeError):  # half of a surrogate pair, which JSON may name
        text = msgspec.json.encode(facts).decode()
        if text.isascii():
            return text
    import json  # knows how to write all others, and takes 4 ms to import

    return json.dumps(facts, separators=(",", ":"))


def anchor_of(voice: Model | Blend) -> Anchor | None:
    """The recording that a voice begins with, if it was given one."""
    for about in (model.about for model in _models(voice)):
        if "anchor" in about:
            return Anchor(name=about["anchor"], latents_sha256=about["anchor_sha256"])
    return None


def note(voice: Model | Blend, command: str, **facts: Any) -> str:
    """What is said about a sound that needs more than a recipe to be made again: the text of its comment."""
    from . import __version__

    about = {key: voice.about[key] for key in ("model", "model_id", "variant")}
    told = {KEY: __version__, "command": command, **about, **facts, "license": _license(voice)}
    return _line(told)


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a sound file. Raises NotFound, FileError for what is no sound file, InvalidValue for no recipe."""
    text = read_comment(Path(path))
    if not text.startswith(f'{{"{KEY}":'):
        raise InvalidValue(f"{path}: does not say how it was made; only what distill generated can be made again")
    raw = strict_json(text, f"{path}: recipe", InvalidValue)
    if isinstance(raw, dict) and "command" in raw:
        raise InvalidValue(f"{path}: was made by distill {raw['command']}, from {raw.get('recording')!r}; give that "
                           "command the recording again")
    try:
        recipe = msgspec.convert(raw, Recipe)
        Knobs.of(**recipe.wishes)
    except (msgspec.ValidationError, InvalidValue, TypeError) as error:
        version = raw.get(KEY) if isinstance(raw, dict) else None
        raise InvalidValue(f"{path}: its recipe, by distill {version}, is not one that this version knows "
                           f"({error})") from None
    return recipe


def read_comment(path: Path) -> str:
    """The comment of a sound file, "" for none. Raises NotFound, FileError."""
    import soundfile

    if not path.is_file():
        raise NotFound(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with soundfile.SoundFile(path) as file:
            comment = str(file.comment)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise FileError(f"{path}: not a sound file that can be read ({error})") from None
    if comment:
        return comment
    with path.open("rb") as stream:  # libsndfile writes long comments in WAV, and does not read those over 2 KB
        return _riff_comment(stream)


def _riff_comment(stream: BinaryIO) -> str:
    """ICMT of the first INFO list before the samples of a RIFF file."""
    if stream.read(4) not in (b"RIFF", b"RF64"):
        return ""
    stream.seek(12)
    while len(header := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            return ""
        if name == b"LIST" and size <= _LARGEST_INFO:
            body = stream.read(size + size % 2)
            if body[:4] == b"INFO" and (comment := _part(body[4:], b"ICMT")) is not None:
                return comment
        else:
            stream.seek(size + size % 2, 1)
    return ""


def _part(body: bytes, wanted: bytes) -> str | None:
    while len(body) >= 8:
        name, size = struct.unpack("<4sI", body[:8])
        if name == wanted:
            return body[8:8 + size].split(b"\0")[0].decode("utf-8", "replace")
        body = body[8 + size + size % 2:]
    return None


def _models(voice: Model | Blend) -> list[Model]:
    return list(getattr(voice, "models", [voice]))


def _license(voice: Model | Blend) -> str:
    return " AND ".join(dict.fromkeys(model.sidecar.license for model in _models(voice)))


def _blend(about: Mapping[str, Any] | None) -> BlendRecipe | None:
    if about is None:
        return None
    return BlendRecipe(mode=about["mode"], slots=[
        Slot(**{key: slot[key] for key in ("model", "model_id", "variant", "label", "weight")})
        for slot in about["slots"]])
