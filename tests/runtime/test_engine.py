"""Devices: CUDA or a clear refusal; `auto` says on stderr what it runs on instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

import distill
from distill import engine
from distill.bundle import BUILT_IN, built_in_folder

Run = Callable[..., "CompletedProcess[str]"]


def test_cuda_is_refused_with_the_way_to_get_it(tiny: Path, tmp_path: Path, here: Run,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(distill.DeviceError, match="pip install 'onnxruntime-gpu") as caught:
        distill.load(tiny, device="cuda")
    assert caught.value.exit_code == 5
    refused = here("generate", tiny, "-o", tmp_path / "x.wav", "--device", "cuda")
    assert refused.returncode == 5 and refused.stdout == "" and refused.stderr.count("\n") == 1
    assert "pip install 'onnxruntime-gpu" in refused.stderr and not (tmp_path / "x.wav").exists()
    with pytest.raises(distill.InvalidValue, match="auto, cpu or cuda"):
        distill.load(tiny, device="tpu")  # type: ignore[arg-type]


def test_cuda_that_is_listed_but_cannot_be_used(tiny: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    """A graph that CUDA does not take: `cuda` refuses, `auto` runs on the CPU and says so in one line."""
    engine._say.cache_clear()
    monkeypatch.setattr(engine, "Cuda", lambda: SimpleNamespace(options={}))
    monkeypatch.setattr(onnxruntime, "get_available_providers",
                        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    honest = onnxruntime.InferenceSession

    def session(graph: bytes, options: object, providers: list[str], enable_fallback: int) -> object:
        if providers != ["CPUExecutionProvider"]:
            raise RuntimeError("CUDA failure 35: driver version is insufficient\nmore lines")
        return honest(graph, options, providers=providers, enable_fallback=enable_fallback)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(distill.DeviceError, match="CUDA failure 35"):
        distill.load(tiny, device="cuda")
    capsys.readouterr()
    model = distill.load(tiny, device="auto")
    message = capsys.readouterr().err
    assert model.provider == "CPUExecutionProvider"
    assert message.count("\n") == 1 and "CUDA failure 35" in message and "CPUExecutionProvider" in message


def test_auto_without_cuda_is_quiet(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert distill.load(tiny, device="auto").provider == "CPUExecutionProvider"
    assert capsys.readouterr().err == ""


def test_a_graph_that_gives_nonsense_is_a_numeric_error(tiny: Path) -> None:
    model = distill.load(tiny)
    with pytest.raises(distill.NumericError):
        model._engine.run(np.full((1, model.latent_dim, 3), np.nan, np.float32))


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_must_be_positive(tiny: Path, threads: int) -> None:
    with pytest.raises(distill.InvalidValue, match="at least 1"):
        distill.load(tiny, threads=threads)


@pytest.mark.parametrize("path", ["tiny", "built-in"])
@pytest.mark.parametrize("frames", [1, 7, 140])
def test_unfused_operators_give_the_same_numbers(tiny: Path, path: str, frames: int) -> None:
    graph = ((tiny if path == "tiny" else built_in_folder() / BUILT_IN) / "decoder.onnx").read_bytes()
    fused, unfused = (engine.Engine(graph, "graph", "cpu", fused=value) for value in (True, False))
    latents = np.random.default_rng(frames).normal(size=(1, fused.input_shape[1], frames)).astype(np.float32)
    np.testing.assert_array_equal(unfused.run(latents), fused.run(latents))
