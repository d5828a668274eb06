"""The sidecar: every fact of a bundle, as types. `docs/sidecar.schema.json` is generated from this file.

Reading is strict. An unknown, missing, duplicate, non-finite or mis-sized key is a BundleError that names the key,
because a runtime that guesses plays the wrong sound without a word.
"""

# Without the usual `from __future__ import annotations`: msgspec would evaluate the text of every field at each start.

import contextlib
import math
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from .errors import INCOMPATIBLE, BundleError, DistillError, InvalidValue
from .spec import SpectrogramSpec

SCHEMA = "distill.bundle"
SCHEMA_VERSION = "1.1.0"

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Basename = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=120)]
ModelId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$",
                              description="first 16 hex digits of the SHA-256 of the decoder's weights")]
Role = Literal["decoder", "encoder", "decoder.fp16", "decoder.int8", "prior", "golden"]
Variant = Literal["fp32", "fp16", "int8"]
DECODERS: dict[Variant, Role] = {"fp32": "decoder", "fp16": "decoder.fp16", "int8": "decoder.int8"}


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every group: immutable, and no key beyond the ones named."""


class ModelInfo(Part, frozen=True):
    id: ModelId
    name: str
    created: Annotated[str | None, Meta(description="when training ended, ISO 8601, UTC; null if it was stopped early")]


class Parity(Part, frozen=True):
    """How far this graph, run by the runtime, is from the network that was trained."""

    max_error: Annotated[float, Meta(description="largest difference of the spectrogram, normalised units")]
    snr_db: Annotated[float, Meta(description="of the samples, same phase decisions on both sides")]
    lsd_db: Annotated[float, Meta(description="log-spectral distance of the samples, each with its own decisions")]
    level_db: Annotated[float, Meta(description="difference of RMS level, each with its own decisions")]


class FileEntry(Part, frozen=True):
    role: Role
    path: Annotated[Basename, Meta(description="a file beside the sidecar")]
    dtype: Literal["float32", "float16", "int8"]
    sha256: Sha256
    bytes: Positive
    parity: Parity | None = None


class Audio(Part, frozen=True):
    sample_rate_hz: Positive


class Stft(Part, frozen=True):
    n_fft: Positive
    hop_length: Positive
    win_length: Positive
    window: Annotated[Literal["hann"], Meta(description="periodic")]
    center: Literal[True]


class Bands(Part, frozen=True):
    axis: Annotated[Literal["warp"], Meta(description="one band a bin at low frequency, logarithmic above")]
    n_mels: Positive
    floor_db: float


class Normalization(Part, frozen=True):
    """normalised = (value - mean) / std, per spectrogram channel: level in dB, instantaneous frequency."""

    mean: list[float]
    std: list[float]


class Pca(Part, frozen=True):
    """Principal axes of the corpus's latents, most important first."""

    components: Annotated[list[list[float]], Meta(description="rows of length latent.dim, unit norm")]
    variance_ratio: list[float]
    p01: Annotated[list[float], Meta(description="1st percentile of the corpus along each axis")]
    p50: list[float]
    p99: list[float]


class Latent(Part, frozen=True):
    dim: Positive
    frames_per_latent: Positive
    rate_hz: Annotated[float, Meta(gt=0, description="latent frames per second")]
    mean: Annotated[list[float], Meta(description="of the encoded corpus, per dimension")]
    std: list[float]
    pca: Pca


class Seam(Part, frozen=True):
    """The seam certificate: chunked decoding against decoding in one piece."""

    max_error: Annotated[float, Meta(description="largest difference, normalised units")]
    border_db: Annotated[float, Meta(description="energy of the difference of samples at borders over the signal's")]


class Chunking(Part, frozen=True):
    receptive_field_left: Annotated[Count, Meta(description="latent frames")]
    receptive_field_right: Annotated[Count, Meta(description="latent frames")]
    recommended_chunk: Annotated[Positive, Meta(description="latent frames; the fixed grid of the runtime")]
    seam: Seam


class Control(Part, frozen=True):
    """One slider: -10 at the corpus's 1st percentile of its axis, 0 at the median, 10 at the 99th.

    Its axis is `sign` times row `component` of the principal axes. What it is named after was measured at export: 10
    excerpts of the corpus, moved along it in 21 steps from -10 to 10, decoded and described.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$", description="what it is called on the command line")]
    label: Annotated[str, Meta(description="what people read, such as `PC1 (Brightness)`")]
    component: Count
    low: Annotated[float, Meta(description="1st percentile of the corpus along the slider's axis")]
    mid: float
    high: float
    sign: Literal[-1, 1]
    descriptor: Annotated[str | None, Meta(description="what the name stands for; null if nothing measured follows it")]
    correlation: Annotated[float | None, Meta(description="of the slider and the descriptor's mean over the excerpts")]
    p_value: Annotated[float | None, Meta(description="of that correlation, two-sided")]
    change: Annotated[float | None, Meta(description="of the descriptor from -10 to 10, in `unit`")]
    unit: Literal["octaves", "dB"] | None
    low_file: Annotated[str, Meta(description="the recording whose median lies nearest to `low`")]
    high_file: str


class Loudness(Part, frozen=True):
    """Of what the model makes at its defaults, before `gain_db`; and of its corpus."""

    rms_db: Annotated[float, Meta(description="dBFS")]
    peak_db: Annotated[float, Meta(description="largest sample, dBFS")]
    true_peak_db: Annotated[float, Meta(description="by fourfold oversampling, dB of full scale")]
    lufs: Annotated[float, Meta(description="integrated loudness, ITU-R BS.1770-4; -70 for silence")]
    target_lufs: Annotated[float, Meta(description="what `gain_db` brings it to, one channel")]
    gain_db: Annotated[float, Meta(ge=-60, le=60, description="constant, so that models are equally loud; a limiter "
                                                              "follows it")]
    corpus_rms_db: float
    frame_limit_db: Annotated[float, Meta(description="the loudest frame of the corpus, power summed over its bands")]


class Nearest(Part, frozen=True):
    """How far patches of sound lie from the nearest patch of some recordings: root mean square over bands and time.

    A patch is 0.17 s: 4 moments of 64 mel bands, in dB, from 0 to 60 dB under the corpus's loudest.
    """

    median_db: Annotated[float, Meta(ge=0)]
    p10_db: Annotated[float, Meta(ge=0, description="10th percentile: the nearest tenth lies nearer than this")]


class Copying(Part, frozen=True):
    """How near what the model makes at its defaults is to the recordings, beside recordings it was not trained on."""

    generated: Annotated[Nearest, Meta(description="from generated patches to those of all recordings of the corpus, "
                                                   "held out or not: the walk goes through all")]
    held_out: Annotated[Nearest | None, Meta(description="from held-out recordings to those trained on; null where "
                                                         "none was held out")]

    @property
    def ratio(self) -> float | None:
        """Median distance of generated patches over that of held-out ones: 0 copies, 1 is as new as they are."""
        if self.held_out is None or self.held_out.median_db == 0:
            return None
        return self.generated.median_db / self.held_out.median_db


class Corpus(Part, frozen=True):
    files: Positive
    seconds: Annotated[float, Meta(gt=0)]
    sha256: Annotated[Sha256, Meta(description="of the sorted SHA-256s of the recordings")]


class Provenance(Part, frozen=True):
    distill: Annotated[str, Meta(description="version that trained and exported")]
    libraries: dict[str, str]
    seed: int
    steps: Count
    train_seconds: float
    checkpoint_sha256: Sha256
    ancestors: Annotated[list[Sha256], Meta(description="checkpoints it was fine-tuned from, whose latent space it "
                                                        "keeps, oldest first")]


class Golden(Part, frozen=True):
    """What `distill check` holds this machine to, for the latents in golden.npz."""

    max_error: Annotated[float, Meta(gt=0, description="allowed, spectrogram, normalised units")]
    level_db: Annotated[float, Meta(gt=0, description="allowed difference of the samples' RMS level")]
    rms_db: Annotated[float, Meta(description="of the samples that the exporting machine got")]
    samples_sha256: Annotated[Sha256, Meta(description="informative: machines differ in the last bit")]


class Sidecar(Part, frozen=True):
    schema: Literal["distill.bundle"]
    schema_version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    model: ModelInfo
    files: list[FileEntry]
    audio: Audio
    stft: Stft
    bands: Bands
    normalization: Normalization
    latent: Latent
    chunking: Chunking
    controls: list[Control]
    loudness: Loudness
    copying: Annotated[Copying | None, Meta(description="null where it was not measured: schema versions before 1.1")]
    license: Annotated[str, Meta(description="SPDX identifier of the sound's licence")]
    corpus: Corpus
    provenance: Provenance
    golden: Golden

    @property
    def spec(self) -> SpectrogramSpec:
        return SpectrogramSpec(sample_rate=self.audio.sample_rate_hz, n_fft=self.stft.n_fft,
                               hop_length=self.stft.hop_length, n_mels=self.bands.n_mels,
                               floor_db=self.bands.floor_db)

    def file(self, role: Role) -> FileEntry | None:
        return next((entry for entry in self.files if entry.role == role), None)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The decoders there are, fp32 first; a lone decoder.onnx counts as that."""
        return tuple(v for v, role in DECODERS.items() if v == "fp32" or self.file(role) is not None)


_KEY = re.compile(rb'"\s*:')  # where a key ends; also in a string that looks so, which only takes longer


def strict_json(text: bytes | str, where: str, kind: type[DistillError] = BundleError) -> Any:
    """JSON without duplicate keys and without numbers that are not finite; raises `kind`, which names the file."""
    if isinstance(text, bytes):
        with contextlib.suppress(ValueError, OverflowError, RecursionError):  # not JSON, not UTF-8, too large, too deep
            found = msgspec.json.decode(text)  # refuses what is not finite, and of two keys takes the last
            if _entries(found) == len(_KEY.findall(text)):
                return found
    import json  # takes 5 ms to import and to read a sidecar, and says what is wrong

    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants, parse_float=_finite)
    except _Bad as error:
        raise kind(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise kind(f"{where}: not JSON ({error})") from None


def parse(text: bytes | str, where: str) -> Sidecar:
    """JSON text -> Sidecar. `where` names the file in messages. Raises BundleError that names the key."""
    raw = strict_json(text, where)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise BundleError(f"{where}: {INCOMPATIBLE}")
    version = raw.get("schema_version")
    if not isinstance(version, str) or version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise BundleError(f"{where}: schema_version is {version!r}, this version of distill reads "
                          f"{SCHEMA_VERSION.split('.')[0]}.x. {INCOMPATIBLE}")
    if version.split(".")[1:2] == ["0"]:  # 1.0 had no `copying`: nobody measured it
        raw = {"copying": None, **raw}
    try:
        sidecar = msgspec.convert(raw, Sidecar)
    except msgspec.ValidationError as error:
        raise BundleError(f"{where}: {error}") from None
    _check_sizes(sidecar, where)
    return sidecar


def dump(sidecar: Sidecar) -> bytes:
    """Sidecar -> indented JSON, keys in the order of the types: the same bytes for the same facts."""
    return msgspec.json.format(msgspec.json.encode(sidecar), indent=1) + b"\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the sidecar, derived from these types."""
    return msgspec.json.schema(Sidecar)


class _Bad(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            raise _Bad(f"key `{key}` stands twice")
        keys[key] = value
    return keys


def _no_constants(name: str) -> float:
    raise _Bad(f"`{name}` is not a finite number")


def _entries(value: Any) -> int:
    """Keys in all of JSON's objects."""
    if isinstance(value, dict):
        return len(value) + sum(map(_entries, value.values()))
    if isinstance(value, list):
        try:
            sum(value)  # numbers, as in all long lists
        except TypeError:
            return sum(map(_entries, value))
    return 0


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Bad(f"`{text}` is not a finite number")
    return value


def _check_sizes(s: Sidecar, where: str) -> None:
    """What types cannot say: lengths that must agree, numbers that must be positive, one file a role."""
    def need(ok: bool, key: str, what: str) -> None:
        if not ok:
            raise BundleError(f"{where}: {what} - at `$.{key}`")

    try:
        spec = s.spec
    except InvalidValue as error:
        raise BundleError(f"{where}: {error}") from None
    need(s.stft.win_length == s.stft.n_fft, "stft.win_length", f"must equal n_fft {s.stft.n_fft}")
    for key, values in (("mean", s.normalization.mean), ("std", s.normalization.std)):
        need(len(values) == 2, f"normalization.{key}", f"has {len(values)} numbers, must have 2")
    need(all(v > 0 for v in s.normalization.std), "normalization.std", "must be positive")
    for key, values in (("mean", s.latent.mean), ("std", s.latent.std)):
        need(len(values) == s.latent.dim, f"latent.{key}", f"has {len(values)} numbers, must have {s.latent.dim}")
    need(all(v > 0 for v in s.latent.std), "latent.std", "must be positive")
    rate = spec.frame_rate_hz / s.latent.frames_per_latent
    need(math.isclose(s.latent.rate_hz, rate, rel_tol=1e-6), "latent.rate_hz", f"must be {rate:g}")
    pca = s.latent.pca
    for i, row in enumerate(pca.components):
        need(len(row) == s.latent.dim, f"latent.pca.components[{i}]",
             f"has {len(row)} numbers, must have {s.latent.dim}")
    for key in ("variance_ratio", "p01", "p50", "p99"):
        count = len(getattr(pca, key))
        need(count == len(pca.components), f"latent.pca.{key}",
             f"has {count} numbers, must have {len(pca.components)}")
    names: set[str] = set()
    for i, control in enumerate(s.controls):
        need(control.component < len(pca.components), f"controls[{i}].component",
             f"is {control.component}, must be under {len(pca.components)}")
        need(control.low < control.mid < control.high, f"controls[{i}].low", "low, mid, high must rise")
        need(all((value is None) == (control.descriptor is None)
                 for value in (control.correlation, control.p_value, control.change, control.unit)),
             f"controls[{i}].descriptor", "descriptor, correlation, p_value, change and unit are null together or not")
        need(control.name not in names, f"controls[{i}].name", f"`{control.name}` stands twice")
        names.add(control.name)
    roles = [entry.role for entry in s.files]
    need(len(set(roles)) == len(roles), "files", "a role stands twice")
