"""Smaller decoders: proved, small, the same integers on every machine, refused when they do not sound right."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from msgspec.structs import replace

import distill
import distill.engine
import distill_export.variants as variants
from distill_export.build import _Builder, export_bundle
from distill_export.parity import Limits, _sound
from distill_train.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("variants") / "bells"
    export_bundle(trained, path, license_id="CC0-1.0", variants=["int8", "fp16"])
    return path


def test_each_variant_has_its_own_proof(bundle: Path) -> None:
    sidecar = distill.load(bundle).sidecar
    assert sidecar.variants == ("fp32", "fp16", "int8")
    sizes, errors = [], []
    for role, dtype, name in (("decoder", "float32", None), ("decoder.fp16", "float16", "fp16"),
                              ("decoder.int8", "int8", "int8")):
        entry = sidecar.file(role)  # type: ignore[arg-type]
        assert entry is not None and entry.parity is not None and entry.dtype == dtype
        assert (bundle / entry.path).stat().st_size == entry.bytes
        limits = variants.LIMITS[name] if name else Limits()
        assert entry.parity.max_error <= limits.max_error and entry.parity.lsd_db <= limits.lsd_db
        assert entry.parity.level_db <= limits.level_db
        sizes.append(entry.bytes)
        errors.append(entry.parity.max_error)
    assert sizes[1] < 0.75 * sizes[0] and sizes[2] < 0.85 * sizes[0]  # of which the graph itself is a third
    assert errors[0] < min(errors[1:])


def test_every_variant_is_a_plain_float_graph_outside(bundle: Path) -> None:
    """Same names, types and dynamic axes as decoder.onnx, only operators of ONNX itself, nothing outside the file."""
    reference = onnx.load(bundle / "decoder.onnx")
    for name in ("decoder.fp16.onnx", "decoder.int8.onnx"):
        graph = onnx.load(bundle / name)
        assert [str(v) for v in graph.graph.input] == [str(v) for v in reference.graph.input]
        assert [str(v) for v in graph.graph.output] == [str(v) for v in reference.graph.output]
        assert [o.domain for o in graph.opset_import] == [""] and not {n.domain for n in graph.graph.node} - {""}
        assert not any(t.external_data for t in graph.graph.initializer)
        kinds = {t.data_type for t in graph.graph.initializer if len(t.dims) == 2}
        assert (onnx.TensorProto.FLOAT16 if "fp16" in name else onnx.TensorProto.INT8) in kinds


def test_integers_fit_in_seven_bits(bundle: Path, trained: Path) -> None:
    """255 * (64 + 64) fits in 16 bits, which is what processors without VNNI add pairs of products in."""
    graph = onnx.load(bundle / "decoder.int8.onnx").graph
    weights = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert len(weights) == 2 * load_checkpoint(trained).network.blocks + 1  # two a block, and the one after them
    assert all(32 < np.abs(w.astype(int)).max() <= 64 for w in weights)


def test_latents_are_not_quantised(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their products on integers too the error is several times larger."""
    decoder = onnx.load(bundle / "decoder.onnx")
    model = distill.load(bundle)
    assert model.prior is not None
    latents = model.prior.latents
    run = distill.engine.Engine

    def error() -> float:
        graph = variants.make_variant("int8", decoder, latents)
        quantised = run(graph.SerializeToString(), "int8").run(latents[None, :, :48])
        return float(np.abs(quantised - run(decoder.SerializeToString(), "fp32").run(latents[None, :, :48])).max())

    spared = error()
    monkeypatch.setattr(variants, "_latents", lambda graph: set())
    assert error() > 3 * spared


def test_variants_can_be_played_alone(bundle: Path, tmp_path: Path) -> None:
    for variant in ("fp16", "int8"):
        alone = shutil.copy(bundle / f"decoder.{variant}.onnx", tmp_path)
        model = distill.load(alone)
        assert model.variant == variant
        latents = np.random.default_rng(0).standard_normal((model.latent_dim, 30)).astype(np.float32)
        assert np.array_equal(model.decode(latents), distill.load(bundle, variant=variant).decode(latents))


def test_the_same_weights_give_the_same_bytes(bundle: Path) -> None:
    decoder, prior = onnx.load(bundle / "decoder.onnx"), distill.load(bundle).prior
    assert prior is not None
    for name in ("fp16", "int8"):
        first, second = (variants.make_variant(name, decoder, prior.latents).SerializeToString(deterministic=True)
                         for _ in range(2))
        assert first == second


def test_a_variant_that_sounds_wrong_fails_its_proof(
        bundle: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = variants._int8

    def crooked(decoder: onnx.ModelProto, latents: np.ndarray) -> onnx.ModelProto:
        graph = honest(decoder, latents)
        parts = next(node.output for node in graph.graph.node if node.op_type == "Split")
        direct = next(node.input[1] for node in graph.graph.node if node.op_type == "MatMul" and node.input[0] in parts)
        weights = next(t for t in graph.graph.initializer if t.name == direct)
        louder = onnx.numpy_helper.to_array(weights) * np.float32(1.2)
        weights.CopyFrom(onnx.numpy_helper.from_array(louder, direct))
        return graph

    monkeypatch.setattr(variants, "_int8", crooked)
    work, model = shutil.copytree(bundle, tmp_path / "bells"), distill.load(bundle)
    assert model.prior is not None
    only_fp32 = replace(model.sidecar, files=[e for e in model.sidecar.files if "." not in e.role])
    builder = _Builder(load_checkpoint(trained), trained, work, "bells", "CC0-1.0", ("int8",), print)
    with pytest.raises(distill.NumericError, match="int8 parity failed, no bundle was written: max error") as caught:
        builder._variant("int8", onnx.load(bundle / "decoder.onnx"), only_fp32, model.prior.latents)
    assert caught.value.exit_code == 6


def test_unknown_variants_are_refused_before_any_work(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(distill.InvalidValue, match="'int4'"):
        export_bundle(trained, tmp_path / "out", variants=["fp16", "int4"])
    assert list(tmp_path.iterdir()) == []


def test_two_takes_of_noise_are_no_error() -> None:
    """Levels a hundredth of a dB apart turn phase decisions over, in noise; with the same ones the sounds are alike."""
    spec = distill.SpectrogramSpec(n_mels=256)
    rng = np.random.default_rng(0)
    trained = distill.analyze(0.1 * rng.standard_normal(48_000).astype(np.float32), spec)
    played = trained.copy()
    played[0] += rng.normal(0, 0.01, played[0].shape)
    apart, alike = (_sound(trained, played, SimpleNamespace(spec=spec), own)["lsd_db"]  # type: ignore[arg-type]
                    for own in (True, False))
    assert apart > 0.3 and alike < 0.3 * apart
