"""The export: proved, reproducible, clean of the machine that made it, and absent when the proof fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
import soundfile
import torch

import distill
import distill_export.build as build
from distill.errors import INCOMPATIBLE
from distill_export.build import export_bundle
from distill_export.graph import export_graph, receptive_field
from distill_train.checkpoint import load_checkpoint

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "bells"
    export_bundle(trained, path, license_id="CC0-1.0")
    return path


def test_the_proof_is_written_down(bundle: Path) -> None:
    model = distill.load(bundle)
    parity = model.sidecar.file("decoder").parity  # type: ignore[union-attr]
    assert parity is not None
    assert 0 < parity.max_error <= 1e-4 and parity.snr_db >= 60 and parity.lsd_db <= 0.1 and parity.level_db <= 0.1
    assert model.sidecar.chunking.seam.max_error <= 1e-5 and model.sidecar.chunking.seam.border_db < -90
    copying = model.sidecar.copying
    assert copying is not None and copying.held_out is not None and copying.generated.median_db > 0
    assert f"{copying.held_out.median_db:.1f} dB" in (bundle / "README.md").read_text()
    assert model.sidecar.model.name == "bells" and model.sidecar.license == "CC0-1.0"
    assert sorted(p.name for p in bundle.iterdir()) == [
        "LICENSE", "README.md", "decoder.onnx", "decoder.onnx.json", "encoder.onnx", "golden.npz", "prior.npz"]
    assert [p for p in bundle.parent.iterdir()] == [bundle]


def test_runtime_agrees_with_torch(bundle: Path, trained: Path) -> None:
    """The same comparison as the proof's, made without the proof's code."""
    encoder, decoder = load_checkpoint(trained).build_networks()
    model = distill.load(bundle)
    facts = model.sidecar.normalization
    mean, std = (np.array(v, np.float32).reshape(2, 1, 1) for v in (facts.mean, facts.std))
    scale = np.array(load_checkpoint(trained).latent_scale, np.float32)[:, None]
    latents = scale * np.random.default_rng(0).standard_normal((model.latent_dim, 300)).astype(np.float32)
    with torch.inference_mode():
        expected = decoder(torch.from_numpy(latents)[None])[0].numpy()
        assert np.abs((model.decode(latents) - mean) / std - expected).max() < 1e-4
        sound = (0.1 * np.random.default_rng(1).standard_normal(32_000)).astype(np.float32)
        spectrogram = (distill.analyze(sound, model.spec) - mean) / std
        spectrogram = spectrogram[:, :, :spectrogram.shape[2] // 2 * 2]
        there = encoder(torch.from_numpy(spectrogram)[None])[0][0].numpy()
    assert np.abs(model.encode(sound, 16_000)[:, :there.shape[1]] - there)[:, :-16].max() < 1e-3


def test_repeated_export_is_byte_identical(bundle: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    again = tmp_path / "bells"
    assert run("distill-export", trained, "-o", again, "--license", "CC0-1.0").returncode == 0
    for path in bundle.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_graphs_are_self_contained_and_anonymous(bundle: Path) -> None:
    for name in ("decoder.onnx", "encoder.onnx"):
        data = (bundle / name).read_bytes()
        for word in (b"/home", b"site-packages", b".py", b"Traceback", str(Path.cwd()).encode()):
            assert word not in data.replace(b"python", b""), (name, word)
        graph = onnx.load_from_string(data)
        assert all(not t.external_data for t in graph.graph.initializer)
        assert not {n.op_type for n in graph.graph.node} & {"LSTM", "GRU", "RNN", "Loop", "Scan"}
        for value in (*graph.graph.input, *graph.graph.output):
            dims = value.type.tensor_type.shape.dim
            assert dims[0].dim_param == "batch" and dims[-1].dim_param
    assert onnx.load(bundle / "decoder.onnx").graph.input[0].name == "latents"
    assert onnx.load(bundle / "decoder.onnx").graph.output[0].name == "spectrogram"


def test_the_embedded_sidecar_is_the_sidecar(bundle: Path) -> None:
    inside = json.loads({p.key: p.value for p in onnx.load(bundle / "decoder.onnx").metadata_props}["distill.sidecar"])
    beside = json.loads((bundle / "decoder.onnx.json").read_text())
    assert inside.pop("files") == [] and beside.pop("files") and inside == beside


def test_a_wrong_graph_fails_the_proof_and_leaves_nothing(
        trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = export_graph

    def crooked(module: torch.nn.Module, *args: object, **kwargs: object) -> onnx.ModelProto:
        graph = honest(module, *args, **kwargs)  # type: ignore[arg-type]
        for tensor in graph.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.ndim == 2 and values.dtype == np.float32:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.01), tensor.name))
                break
        return graph

    monkeypatch.setattr(build, "export_graph", crooked)
    with pytest.raises(distill.NumericError, match="parity failed"):
        export_bundle(trained, tmp_path / "bells")
    assert list(tmp_path.iterdir()) == []


def test_an_audible_difference_is_named(bundle: Path, trained: Path) -> None:
    """The samples are judged too: a level error that the spectrogram's tolerance let pass is found."""
    from distill_export.parity import Limits, prove

    _, decoder = load_checkpoint(trained).build_networks()
    with torch.no_grad():
        decoder.patch.bias += 0.05
    latents = distill.load(bundle).prior.latents  # type: ignore[union-attr]
    with pytest.raises(distill.NumericError) as caught:
        prove(decoder, distill.load(bundle), latents, Limits(max_error=1.0))
    assert "SNR" in str(caught.value) and "level" in str(caught.value) and "max error" not in str(caught.value)


def test_receptive_field_is_read_off_the_graph(bundle: Path) -> None:
    graph = onnx.load(bundle / "decoder.onnx")
    left, right = receptive_field(graph)
    model = distill.load(bundle)
    assert (left, right) == (model.sidecar.chunking.receptive_field_left, model.sidecar.chunking.receptive_field_right)
    latents = np.random.default_rng(0).standard_normal((model.latent_dim, 61)).astype(np.float32)
    touched = latents.copy()
    touched[:, 30] += 100
    changed = np.abs(model.decode(latents) - model.decode(touched)).max(axis=(0, 1)).reshape(-1, 2).max(axis=1) > 0
    assert np.flatnonzero(changed).tolist() == list(range(30 - right, 30 + left + 1))


def test_graphs_without_a_bound_are_refused() -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.Conv1d(3, 3, 5, padding=4, dilation=2)

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return self.cell(latents)

    graph = export_graph(Recurrent(), "latents", "spectrogram", torch.zeros(2, 3, 16))
    assert receptive_field(graph) == (4, 4)
    graph.graph.node[0].op_type = "GRU"
    with pytest.raises(ValueError, match="GRU"):
        receptive_field(graph)


def test_frames_moved_in_time_count_and_moved_bands_do_not() -> None:
    class Moved(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            late = torch.nn.functional.pad(latents, (3, 0), mode="replicate")[:, :, :-3]
            lower = torch.nn.functional.pad(latents, (0, 0, 2, 0))[:, :-2]
            return latents + late + lower

    graph = export_graph(Moved(), "latents", "spectrogram", torch.zeros(2, 3, 16))
    assert receptive_field(graph) == (3, 0)

    class Early(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return latents[:, :, :-2] + latents[:, :, 2:]

    assert receptive_field(export_graph(Early(), "latents", "spectrogram", torch.zeros(2, 3, 16))) == (0, 2)


@pytest.mark.parametrize(("unbounded", "named"), [
    (lambda x: x + x[:, :, -1:], "Slice"),
    (lambda x: x + x[:, :, 5, None], "Gather"),
    (lambda x: torch.cat([x[:, :, :1], x[:, :, :-1]], dim=2), "Concat|Slice"),
    (lambda x: torch.nn.functional.pad(x, (-2, 0)), "Pad|Slice"),
    (lambda x: torch.nn.functional.pad(x, (3, 0), mode="circular")[:, :, 3:], "Pad|Slice|Concat"),
    (lambda x: x - x.mean(2, keepdim=True), "ReduceMean"),
    (lambda x: x * x.softmax(2), "Softmax"),
    (lambda x: torch.nn.functional.avg_pool1d(x, 5, 1, 2), "AveragePool"),
    (lambda x: torch.cumsum(x, 2), "CumSum"),
])
def test_what_sees_frames_in_other_ways_is_refused(
    unbounded: Callable[[torch.Tensor], torch.Tensor], named: str
) -> None:
    class Unbounded(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return unbounded(latents)

    with pytest.raises(ValueError, match=named):
        receptive_field(export_graph(Unbounded(), "latents", "spectrogram", torch.zeros(2, 3, 16)))


def test_exit_codes(trained: Path, tmp_path: Path, run: Run) -> None:
    def failed(code: int, *words: object) -> str:
        result = run("distill-export", *words)
        lines = result.stderr.splitlines()
        assert result.returncode == code and len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
        return lines[0]

    out = tmp_path / "out"
    assert "nowhere" in failed(3, tmp_path / "nowhere", "-o", out)
    (tmp_path / "empty").mkdir()
    failed(3, tmp_path / "empty", "-o", out)
    (tmp_path / "old.pt").write_bytes(b"not a checkpoint")
    assert INCOMPATIBLE in failed(4, tmp_path / "old.pt", "-o", out)
    torch.save({"model_state": {}, "n_mels": 128}, tmp_path / "other.pt")
    assert "Incompatible model format" in failed(4, tmp_path / "other.pt", "-o", out)
    assert "SPDX" in failed(2, trained, "-o", out, "--license", "free for all!")
    assert "output" in failed(2, trained)
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    assert "--force" in failed(7, trained, "-o", out)
    assert "no bundle" in failed(7, trained, "-o", out, "--force")
    assert (out / "mine.txt").read_text() == "precious"
    (tmp_path / "file").write_text("x")
    failed(7, trained, "-o", tmp_path / "file" / "bundle")


def test_force_replaces_a_bundle(bundle: Path, trained: Path, tmp_path: Path) -> None:
    import shutil

    target = shutil.copytree(bundle, tmp_path / "bells")
    (target / "decoder.onnx").write_bytes(b"spoilt")
    export_bundle(trained, target, license_id="CC0-1.0", force=True)
    assert distill.load(target).sidecar == distill.load(bundle).sidecar
    assert list(tmp_path.iterdir()) == [target]


def test_a_child_can_be_blended_with_its_parent_as_latents(
        bundle: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for index, file in enumerate(sorted((trained.parent / "corpus").iterdir())):
        samples, rate = soundfile.read(file)
        soundfile.write(corpus / f"{index}.wav", samples[::-1], rate)
    done = run("distill-train", corpus, "-o", tmp_path / "run", "--from", trained, "--steps", 2, "--threads", 1)
    assert done.returncode == 0, done.stderr
    child = distill.load(export_bundle(tmp_path / "run", tmp_path / "child").path)
    parent = distill.load(bundle)
    assert child.sidecar.provenance.ancestors == [parent.sidecar.provenance.checkpoint_sha256]
    blended = distill.blend([distill.ModelSlot(parent, 0.5), distill.ModelSlot(child, 0.5)], "latent")
    assert np.isfinite(blended.generate(0.5, seed=1)).all()


def test_check_notices_what_does_not_sound_as_exported(bundle: Path, tmp_path: Path, run: Run) -> None:
    import hashlib
    import shutil

    target = shutil.copytree(bundle, tmp_path / "bells")
    with np.load(target / "golden.npz") as archive:
        arrays = dict(archive)
    np.savez(target / "golden.npz", **{**arrays, "spectrogram": arrays["spectrogram"] + 1})
    facts = json.loads((target / "decoder.onnx.json").read_text())
    entry = next(e for e in facts["files"] if e["role"] == "golden")
    data = (target / "golden.npz").read_bytes()
    entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (target / "decoder.onnx.json").write_text(json.dumps(facts))
    result = run("distill", "check", target)
    assert result.returncode == 4 and "does not sound as exported" in result.stderr
