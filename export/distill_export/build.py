"""From a run to a bundle: graphs, sidecar, prior, golden, proof; the folder appears complete or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor, nn

import distill
from distill import dsp
from distill.bundle import DECODER, EMBEDDED_KEY, SIDECAR, VARIANT_KEY, Bundle
from distill.decoder import ChunkDecoder
from distill.engine import Engine
from distill.errors import FileError, InvalidValue, NumericError
from distill.golden import rms_db
from distill.model import Model
from distill.sidecar import (
    Audio,
    Bands,
    Chunking,
    Corpus,
    FileEntry,
    Golden,
    ModelInfo,
    Normalization,
    Parity,
    Provenance,
    Role,
    Seam,
    Sidecar,
    Stft,
    dump,
)
from distill_train.checkpoint import Checkpoint, load_checkpoint
from distill_train.manifest import corpus_hash
from distill_train.spectrograms import original_spectrograms

from .card import model_card
from .controls import measure_controls
from .copying import measure_copying
from .encode import EncodedCorpus, encode_corpus, latent_facts, npz_bytes
from .graph import embed, export_graph, receptive_field, serialise
from .level import measure_loudness, unmeasured
from .parity import prove, prove_batches
from .seam import measure_seam
from .variants import DTYPES, FILES, LIMITS, ROLES, check_variants, make_variant

Array = NDArray[np.float32]
Tell = Callable[[str], None]

CHUNK = 128  # latent frames of the runtime's grid: the context around it is then a tenth of the work
_GOLDEN_LATENTS = 24
_NO_PARITY = Parity(max_error=0.0, snr_db=0.0, lsd_db=0.0, level_db=0.0)


class PosteriorMean(nn.Module):
    """The encoder without its variance: what the runtime needs."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, spectrogram: Tensor) -> Tensor:
        """[B, 2, n_mels, frames] -> [B, latent_dim, latent_frames]."""
        mean: Tensor = self.encoder(spectrogram)[0]
        return mean


@dataclass(frozen=True)
class Result:
    """What an export made."""

    path: Path
    sidecar: Sidecar
    bytes: int


def export_bundle(run: Path, bundle: Path, *, name: str | None = None, license_id: str = "NOASSERTION",
                  variants: Sequence[str] = (), force: bool = False, tell: Tell = lambda text: None) -> Result:
    """Export the checkpoint of `run` to the folder `bundle`, and prove it before it appears there.

    variants: "fp16", "int8" or both: smaller decoders beside the float32 one, each with its own proof.
    Raises InvalidValue, NotFound, BundleError (no or a foreign checkpoint), NumericError (parity), FileError (cannot
    be written, or exists and `force` is not set).
    """
    wanted = check_variants(variants)
    if bundle.exists() and not force:
        raise FileError(f"{bundle} exists; --force overwrites it")
    if bundle.exists() and not (bundle / SIDECAR).is_file():
        raise FileError(f"{bundle} exists and is no bundle; --force only overwrites bundles")
    checkpoint = load_checkpoint(run)
    folder = run if run.is_dir() else run.parent
    torch.set_num_threads(1)  # sums in one order: the same bytes every time
    try:
        bundle.absolute().parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", dir=bundle.absolute().parent))
    except OSError as error:
        raise FileError(f"{bundle}: cannot be written ({error.strerror})") from None
    try:
        sidecar = _Builder(checkpoint, folder, work, name or bundle.name, license_id, wanted, tell).build()
        size = sum(file.stat().st_size for file in work.iterdir())
        work.chmod(0o755)
        _put_in_place(work, bundle)
    except OSError as error:
        if isinstance(error, distill.DistillError):
            raise
        raise FileError(f"{bundle}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Result(bundle, sidecar, size)


class _Builder:
    """The steps, in order, on one working folder."""

    def __init__(self, checkpoint: Checkpoint, run: Path, work: Path, name: str, license_id: str,
                 variants: tuple[str, ...], tell: Tell) -> None:
        if not name or not name.isprintable():
            raise InvalidValue(f"name is {name!r}; it must be printable and not empty")
        self.checkpoint, self.run, self.work, self.tell = checkpoint, run, work, tell
        self.name, self.license, self.variants = name, license_id, variants
        self.encoder, self.decoder = checkpoint.build_networks()

    def build(self) -> Sidecar:
        config, ratio = self.checkpoint.network, self.checkpoint.network.frames_per_latent
        self.tell("exporting the graphs")
        decoder = export_graph(self.decoder, "latents", "spectrogram", torch.zeros(2, config.latent_dim, 24))
        encoder = export_graph(PosteriorMean(self.encoder), "spectrogram", "latents",
                               torch.zeros(2, 2, config.n_mels, 24 * ratio), time_multiple=ratio)
        left, right = receptive_field(decoder)
        if (left, right) != tuple(self.decoder.receptive_field):
            raise NumericError(f"parity failed: the graph sees {left} and {right} latent frames to its sides, the "
                               f"network {tuple(self.decoder.receptive_field)}")
        self.tell("encoding the corpus")
        spectrograms = ((file.name, part) for file, part in original_spectrograms(self.run, self.checkpoint))
        corpus = encode_corpus(self.encoder, spectrograms, self.checkpoint.stats)
        self._write("encoder.onnx", serialise(encoder))
        self._write(DECODER, serialise(decoder))
        sidecar = self._facts(decoder, corpus, Chunking(
            receptive_field_left=left, receptive_field_right=right, recommended_chunk=CHUNK,
            seam=Seam(max_error=0.0, border_db=0.0)))
        chunks = ChunkDecoder.of(Engine(serialise(decoder), DECODER), sidecar)
        self._write("prior.npz", corpus.prior_bytes(sidecar.latent.rate_hz, chunks))
        sidecar = replace(sidecar, files=[self._entry("decoder", DECODER, "float32"),
                                          self._entry("encoder", "encoder.onnx", "float32"),
                                          self._entry("prior", "prior.npz", "float16")])
        model = Model(Bundle(self.work, sidecar), device="cpu")

        self.tell("proving parity")
        latents = corpus.joined
        prove_batches(self.decoder, Engine(serialise(decoder), DECODER), latents)
        parity = prove(self.decoder, model, latents)
        self._prove_encoder(encoder)
        sidecar = replace(sidecar, chunking=replace(sidecar.chunking, seam=measure_seam(model, latents)))
        self.tell("measuring level")
        originals = (part for _, part in original_spectrograms(self.run, self.checkpoint))
        sidecar = replace(sidecar, loudness=measure_loudness(model, originals))
        self.tell("measuring how near it is to copying")
        corpus_sound = ((file.held_out, part) for file, part in original_spectrograms(self.run, self.checkpoint))
        sidecar = replace(sidecar, copying=measure_copying(model, corpus_sound))
        self.tell("naming the sliders")
        sidecar = replace(sidecar, controls=measure_controls(model, corpus))
        variants = {name: self._variant(name, decoder, sidecar, latents) for name in self.variants}
        return self._seal(decoder, variants, sidecar, self._golden(model, latents), parity)

    def _variant(self, name: Any, decoder: onnx.ModelProto, sidecar: Sidecar,
                 latents: Array) -> tuple[onnx.ModelProto, Parity]:
        """A smaller decoder and its proof: the trained network against this graph in the runtime, as for float32."""
        self.tell(f"proving the {name} variant")
        graph = make_variant(name, decoder, latents)
        self._write(FILES[name], serialise(graph))
        trial = replace(sidecar, files=[*sidecar.files, self._entry(ROLES[name], FILES[name], DTYPES[name])])
        model = Model(Bundle(self.work, trial), device="cpu", variant=name)
        return graph, prove(self.decoder, model, latents, LIMITS[name], f"{name} parity")

    def _facts(self, decoder: onnx.ModelProto, corpus: EncodedCorpus, chunking: Chunking) -> Sidecar:
        """The sidecar, with what can only be measured on the running bundle left at zero."""
        ck, spec = self.checkpoint, self.checkpoint.spec
        weights = hashlib.sha256()
        for tensor in sorted(decoder.graph.initializer, key=lambda t: t.name):
            weights.update(tensor.raw_data)
        return Sidecar(
            schema="distill.bundle", schema_version=distill.sidecar.SCHEMA_VERSION,
            model=ModelInfo(id=weights.hexdigest()[:16], name=self.name, created=ck.created),
            files=[], audio=Audio(sample_rate_hz=spec.sample_rate),
            stft=Stft(n_fft=spec.n_fft, hop_length=spec.hop_length, win_length=spec.n_fft, window="hann", center=True),
            bands=Bands(axis="warp", n_mels=spec.n_mels, floor_db=spec.floor_db),
            normalization=Normalization(mean=list(ck.stats.mean), std=list(ck.stats.std)),
            latent=latent_facts(corpus, ck.network.frames_per_latent, spec), chunking=chunking, controls=[],
            loudness=unmeasured(corpus.loudest_db), copying=None, license=self.license,
            corpus=Corpus(files=len(ck.corpus), seconds=round(sum(f.seconds for f in ck.corpus), 3),
                          sha256=corpus_hash(ck.corpus)),
            provenance=Provenance(distill=distill.__version__, libraries=self._libraries(), seed=ck.seed,
                                  steps=ck.steps, train_seconds=round(ck.elapsed_seconds, 1),
                                  checkpoint_sha256=ck.sha256, ancestors=list(ck.ancestors)),
            golden=Golden(max_error=1e-3, level_db=0.1, rms_db=0.0, samples_sha256="0" * 64))

    def _libraries(self) -> dict[str, str]:
        return {"numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
                "python": platform.python_version(), "torch": str(torch.__version__).split("+")[0]}

    def _prove_encoder(self, encoder: onnx.ModelProto) -> None:
        engine, ck = Engine(serialise(encoder), "encoder.onnx"), self.checkpoint
        rng = np.random.default_rng(0)
        for batch, frames in ((1, 2), (1, 130), (2, 64), (3, 514)):
            frames *= ck.network.frames_per_latent
            part = rng.standard_normal((batch, 2, ck.spec.n_mels, frames), np.float32)
            with torch.inference_mode():
                trained = self.encoder(torch.from_numpy(part))[0].numpy()
            played = engine.run(part)
            if played.shape != trained.shape or (error := float(np.abs(played - trained).max())) > 1e-3:
                raise NumericError(f"parity failed: the encoder's latents differ ({played.shape}, {trained.shape}"
                                   f"{'' if played.shape != trained.shape else f', {error:.1e}'})")

    def _golden(self, model: Model, latents: Array) -> dict[str, Array]:
        part = np.resize(latents.T, (_GOLDEN_LATENTS, latents.shape[0])).T.astype(np.float32)
        spectrogram = model.decode(part)
        return {"latents": part, "spectrogram": spectrogram,
                "samples": dsp.synthesize(spectrogram, model.spec, "balanced")}

    def _seal(self, decoder: onnx.ModelProto, variants: dict[str, tuple[onnx.ModelProto, Parity]], sidecar: Sidecar,
              golden: dict[str, Array], parity: Parity) -> Sidecar:
        """Write what depends on the figures: golden, the decoder with its embedded sidecar, the sidecar, the card."""
        samples = golden["samples"]
        sidecar = replace(sidecar, golden=replace(
            sidecar.golden, rms_db=round(rms_db(samples), 3),
            samples_sha256=hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest()))
        self._write("golden.npz", npz_bytes(**golden))
        alone = replace(sidecar, files=[])
        self._write(DECODER, embed(decoder, EMBEDDED_KEY, dump(alone).decode()))
        for name, (graph, _) in variants.items():
            self._write(FILES[name], embed(graph, EMBEDDED_KEY, dump(alone).decode(), {VARIANT_KEY: name}))
        sidecar = replace(sidecar, files=[
            replace(self._entry("decoder", DECODER, "float32"), parity=parity),
            *(replace(self._entry(ROLES[name], FILES[name], DTYPES[name]), parity=proof)
              for name, (_, proof) in variants.items()),
            self._entry("encoder", "encoder.onnx", "float32"),
            self._entry("prior", "prior.npz", "float16"),
            self._entry("golden", "golden.npz", "float32")])
        self._write(SIDECAR, dump(sidecar))
        self._write("README.md", model_card(sidecar).encode())
        self._write("LICENSE", f"SPDX-License-Identifier: {sidecar.license}\n".encode())
        distill.sidecar.parse((self.work / SIDECAR).read_bytes(), SIDECAR)
        return sidecar

    def _entry(self, role: Role, path: str, dtype: Any) -> FileEntry:
        data = (self.work / path).read_bytes()
        return FileEntry(role=role, path=path, dtype=dtype, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    def _write(self, name: str, data: bytes) -> None:
        with (self.work / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _put_in_place(work: Path, bundle: Path) -> None:
    """Rename the finished folder; an older bundle stays until the new one stands in its place."""
    if not bundle.exists():
        os.replace(work, bundle)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.old.", dir=bundle.absolute().parent))
    os.replace(bundle, old / bundle.name)
    try:
        os.replace(work, bundle)
    except OSError:
        os.replace(old / bundle.name, bundle)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
