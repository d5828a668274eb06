"""A GPU where there is none: everything but the card itself, with a stand-in for its memory.

The stand-in is onnxruntime's I/O binding into arrays of array-api-strict, which are not numpy's, refuse to be mixed
with them, and offer nothing that the standard does not promise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np
import onnxruntime
import pytest

import distill
from bench import gpu as bench
from distill import doctor, engine, golden, tuning
from distill.cuda import Cuda
from distill.golden import replay

Run = Callable[..., "CompletedProcess[str]"]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class StandIn:
    """The host's memory, as a device's."""

    xp, device_type = array_api_strict, "cpu"
    options: Mapping[str, str] = {"use_tf32": "0"}

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self.xp.empty(shape, dtype=self.xp.float32)

    def address(self, array: Any) -> int:
        return int(np.from_dlpack(array).ctypes.data)

    def wait(self) -> None:
        pass


class Session(onnxruntime.InferenceSession):
    """Runs on the CPU what CUDA was asked to run."""

    def __init__(self, graph: bytes, options: object, providers: list[Any], enable_fallback: int) -> None:
        assert enable_fallback == 0  # onnxruntime would change to the CPU by itself, and print to standard output
        self._asked = [provider if isinstance(provider, str) else provider[0] for provider in providers]
        super().__init__(graph, options, providers=[CPU], enable_fallback=0)

    def get_providers(self) -> list[str]:
        return [*self._asked, CPU]


@pytest.fixture(autouse=True)
def fresh_lines() -> None:
    engine._say.cache_clear()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime as a build with CUDA has it."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)


@pytest.fixture
def card(provider: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Cuda", StandIn)


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    return bench.snr_db(reference, other)


KNOBS = [{}, {"quality": "fast"}, {"quality": "high"}, {"mode": "crossfade", "segment": 0.5}, {"loop": True},
         {"channels": 2}]


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
def test_the_gpu_sounds_like_the_cpu(tiny: Path, card: None, knobs: dict[str, Any]) -> None:
    cpu, gpu = distill.load(tiny, device="cpu"), distill.load(tiny, device="cuda")
    assert (cpu.provider, gpu.provider) == (CPU, CUDA)
    whole = gpu.generate(2.0, seed=3, **knobs)
    assert isinstance(whole, np.ndarray) and whole.dtype == np.float32
    assert snr_db(cpu.generate(2.0, seed=3, **knobs), whole) > 60
    if knobs.get("quality") != "high":
        for block in (1, 999):
            parts = list(gpu.stream(2.0, seed=3, block=block, **knobs))
            assert np.array_equal(np.concatenate(parts, axis=-1), whole)


def test_the_spectrogram_stays_on_the_device(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only samples come back: whatever else were brought to the host would go through `on_host`, or numpy."""
    from distill.dsp.portable import synthesis

    brought: list[tuple[int, ...]] = []
    honest = synthesis.on_host
    monkeypatch.setattr(synthesis, "on_host", lambda array: (brought.append(tuple(array.shape)), honest(array))[1])
    gpu = distill.load(tiny, device="cuda")
    monkeypatch.setattr(gpu._engine, "run", None)  # which gives numpy's arrays
    pieces = list(gpu.spectrograms(distill.Knobs(seed=1), 300))
    assert all(isinstance(piece, type(array_api_strict.zeros(1))) for piece in pieces)
    sizes = [piece.shape[2] for piece in pieces]
    assert len(sizes) > 1 and sizes[0] < sizes[1]  # the first comes at once, the others together
    gpu.generate(3.0, seed=1)
    assert brought and all(len(shape) == 1 for shape in brought)


def test_the_other_ways_to_sound(tiny: Path, card: None) -> None:
    cpu, gpu = distill.load(tiny, device="cpu"), distill.load(tiny, device="cuda")
    sound = cpu.generate(1.0, seed=1)
    latents = cpu.encode(sound, cpu.sample_rate)
    assert gpu._encoder.provider == CUDA
    assert np.array_equal(gpu.encode(sound, cpu.sample_rate), latents)
    for quality in ("fast", "balanced", "high"):
        for length in (None, 5000):
            result = gpu.synthesize(latents, quality, length)
            assert snr_db(cpu.synthesize(latents, quality, length), result) > 60
    assert gpu.synthesize(latents[:, :0]).shape == (0,)
    assert isinstance(gpu.decode(latents), np.ndarray) and np.array_equal(gpu.decode(latents), cpu.decode(latents))
    resynthesized = [model.resynthesize(sound, cpu.sample_rate) for model in (cpu, gpu)]
    assert snr_db(*resynthesized) > 60
    live = [np.concatenate(list(distill.Live(model, seed=1).stream(0.5))) for model in (cpu, gpu)]
    assert snr_db(*live) > 60
    anchored = [model.anchored(latents).generate(0.5, seed=1) for model in (cpu, gpu)]
    assert snr_db(*anchored) > 60


@pytest.mark.parametrize("mode", ["spectral", "audio"])
def test_blends_wherever_their_models_are(tiny: Path, card: None, mode: Any) -> None:
    cpu, gpu = distill.load(tiny, device="cpu"), distill.load(tiny, device="cuda")

    def blended(*models: distill.Model) -> np.ndarray:
        slots = [distill.ModelSlot(model, weight) for model, weight in zip(models, (0.3, 0.7), strict=True)]
        return distill.blend(slots, mode).generate(1.0, seed=1)

    expected = blended(cpu, cpu)
    assert snr_db(expected, blended(gpu, gpu)) > 60
    assert snr_db(expected, blended(cpu, gpu)) > 60


def test_without_cupy(tiny: Path, provider: None, here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime could, CuPy is missing: `cuda` refuses with the way to get it, `auto` says what it does instead."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    words = ["generate", tiny, "-o", tmp_path / "x.wav", "--seconds", 0.1, "--seed", 1, "--json", "--force"]
    refused = here(*words, "--device", "cuda")
    assert refused.returncode == 5 and refused.stdout == "" and not (tmp_path / "x.wav").exists()
    assert refused.stderr.count("\n") == 1 and "pip install 'distill-audio[cupy]'" in refused.stderr
    done = here(*words, "--device", "auto")
    assert done.returncode == 0 and json.loads(done.stdout)["provider"] == CPU
    told = [line for line in done.stderr.splitlines() if "CuPy" in line]
    assert len(told) == 1 and f"running on {CPU}" in told[0]


def test_with_a_card_the_provider_is_told(tiny: Path, card: None, here: Run, tmp_path: Path) -> None:
    done = here("generate", tiny, "-o", tmp_path / "x.wav", "--seconds", 0.1, "--seed", 1, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["provider"] == CUDA and "running on" not in done.stderr


def test_one_line_for_all_graphs(tiny: Path, provider: None, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for _ in range(2):
        model = distill.load(tiny)
        model.encode(np.zeros(4000, np.float32), model.sample_rate)
    assert capsys.readouterr().err.count("\n") == 1


def fake_cupy(problem: Exception | None = None) -> ModuleType:
    """As much of CuPy as is used before there is an array."""
    cupy = ModuleType("cupy")
    cupy.waits = 0  # type: ignore[attr-defined]

    def zeros(count: int) -> np.ndarray:
        if problem is not None:
            raise problem
        return np.zeros(count)

    def synchronize() -> None:
        cupy.waits += 1

    cupy.zeros, cupy.empty, cupy.float32 = zeros, np.empty, np.float32  # type: ignore[attr-defined]
    cupy.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        get_current_stream=lambda: SimpleNamespace(synchronize=synchronize))
    return cupy


def test_a_card_that_cupy_cannot_use(tiny: Path, provider: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(RuntimeError("cudaErrorInsufficientDriver: too old\nmore")))
    with pytest.raises(distill.DeviceError, match="cudaErrorInsufficientDriver.*nvidia-smi") as caught:
        distill.load(tiny, device="cuda")
    assert "\n" not in str(caught.value)


def test_the_cards_memory(provider: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The thin part: what CuPy is asked for, and that onnxruntime's chatter about libraries stays off stdout."""
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcufft.so"), raising=False)
    memory = engine.Cuda()
    assert memory.xp is cupy and memory.device_type == "cuda" and memory.options["use_tf32"] == "0"
    assert cupy.waits == 1 and capsys.readouterr().out == ""
    array = memory.empty((1, 2, 3))
    assert array.shape == (1, 2, 3) and array.dtype == np.float32
    assert memory.address(SimpleNamespace(data=SimpleNamespace(ptr=4096))) == 4096


def test_a_session_that_came_up_without_cuda(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    """A build with CUDA whose libraries are not there gives a session on the CPU, without a word."""
    monkeypatch.setattr(Session, "get_providers", lambda self: [CPU])
    with pytest.raises(distill.DeviceError, match=f"chose {CPU}.*pip install") as caught:
        distill.load(tiny, device="cuda")
    assert caught.value.exit_code == 5
    assert distill.load(tiny, device="auto").provider == CPU
    assert f"running on {CPU}" in capsys.readouterr().err


def test_int8_is_for_cpus(tiny: Path, card: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Its products have CUDA kernels and its quantisation has none, so a part would run on the CPU unasked."""
    with pytest.raises(distill.DeviceError, match="int8.*--variant fp32 or fp16"):
        distill.load(tiny, device="cuda", variant="int8")
    assert distill.load(tiny, device="cuda", variant="fp16").provider == CUDA
    assert distill.load(tiny, device="auto", variant="int8").provider == CPU
    assert "int8" in capsys.readouterr().err


def test_numbers_that_are_not_finite(tiny: Path, card: None) -> None:
    gpu = distill.load(tiny, device="cuda")
    latents = np.full((1, gpu.latent_dim, 3), np.nan, np.float32)
    with pytest.raises(distill.NumericError):
        gpu._engine.run_in_place(latents, (1, 2, gpu.spec.n_mels, 3 * gpu.sidecar.latent.frames_per_latent))
    with pytest.raises(distill.DeviceError, match=f"onnxruntime failed on {CUDA}"):
        gpu._engine.run_in_place(np.zeros_like(latents), (1, 2, gpu.spec.n_mels, 1))


class CompileException(Exception):
    """CuPy's, which is no RuntimeError."""

    __module__ = "cupy.cuda.compiler"


@pytest.mark.parametrize("problem", [RuntimeError("cudaErrorIllegalAddress"), MemoryError("out of memory"),
                                     CompileException("nvrtc: error")])
def test_a_card_that_fails_while_it_runs(tiny: Path, card: None, here: Run, tmp_path: Path, problem: Exception,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it does: at the decoder's output, at arithmetic on it, in the synthesis."""
    from distill.dsp.portable import synthesis

    gpu = distill.load(tiny, device="cuda")

    def fail(*_: object, **__: object) -> None:
        raise problem

    latents = np.zeros((gpu.latent_dim, 8), np.float32)
    for owner, name in ((StandIn, "empty"), (StandIn, "wait"), (distill.decoder.ChunkDecoder, "denormalise"),
                        (synthesis, "StartSpectrum")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            for make in (lambda: gpu.synthesize(latents), lambda: gpu.generate(0.1, seed=1)):
                with pytest.raises(distill.DeviceError, match="GPU failed.*--device cpu"):
                    make()
    both = distill.blend([distill.ModelSlot(gpu, 0.3), distill.ModelSlot(gpu, 0.7)], "spectral")
    with monkeypatch.context() as patch:
        patch.setattr("distill.blending.blended.morph", fail)
        with pytest.raises(distill.DeviceError, match="GPU failed"):
            both.generate(0.1, seed=1)
    monkeypatch.setattr(StandIn, "wait", fail)
    done = here("generate", tiny, "-o", tmp_path / "x.wav", "--seconds", 0.1, "--seed", 1, "--device", "cuda")
    assert done.returncode == 5 and done.stderr.splitlines()[1:] == [
        f"distill: the GPU failed ({problem}); use --device cpu, or less at a time"]


def test_a_mistake_is_not_blamed_on_the_card(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("mine")

    monkeypatch.setattr(StandIn, "wait", fail)
    with pytest.raises(KeyError, match="mine"):
        distill.load(tiny, device="cuda").generate(0.1, seed=1)


def test_no_graph_is_a_broken_bundle_on_any_device(card: None) -> None:
    for device in ("cpu", "cuda", "auto"):
        with pytest.raises(distill.BundleError, match=r"decoder\.onnx: not a graph"):
            engine.Engine(b"no graph", "decoder.onnx", device)  # type: ignore[arg-type]


def test_check_proves_the_synthesis_of_the_gpu(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from distill.dsp import portable

    honest = portable.synthesize
    monkeypatch.setattr(portable, "synthesize", lambda *a, **k: 2 * honest(*a, **k))
    replay(distill.load(tiny, device="cpu"))
    with pytest.raises(distill.BundleError, match="does not sound as exported"):
        replay(distill.load(tiny, device="cuda"))


def test_what_bench_kept_is_for_the_cpu(tiny: Path, card: None, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    tuning.keep(distill.load(tiny).sidecar.model.id, tuning.Choice(variant="int8", threads=2), 10.0)
    for device, used in (("cpu", True), ("cuda", False), ("auto", False)):
        model, tuned = tuning.load_tuned(tiny, device=device)  # type: ignore[arg-type]
        assert tuned == used and model.variant == ("int8" if used else "fp32")


def test_doctor_looks_at_the_gpu(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = doctor._gpu(str(tiny))
    assert found.code == 0 and found.advice is None and CUDA in found.found
    monkeypatch.setattr(engine, "Cuda", Cuda)
    monkeypatch.setitem(sys.modules, "cupy", None)
    (found,) = doctor._gpu(str(tiny))
    assert found.code == 0 and found.advice is not None and "distill-audio[cupy]" in found.found
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert list(doctor._gpu(str(tiny))) == []


@pytest.mark.parametrize("problem", [distill.BundleError("does not sound"), distill.DeviceError("the GPU failed")])
def test_doctor_says_that_a_gpu_sounds_wrong(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch,
                                             problem: distill.DistillError) -> None:
    """--device auto would use it all the same."""
    def replay(model: distill.Model) -> None:
        raise problem

    monkeypatch.setattr(golden, "replay", replay)
    (found,) = doctor._gpu(str(tiny))
    assert found.code == problem.exit_code and found.advice == "use --device cpu"


def test_bench_compares(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "_SECONDS", 0.5)
    monkeypatch.setattr(bench, "_SHORT", 0.5)
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    assert bench.main([str(tiny)]) == 0
    table = capsys.readouterr().out
    for row in ("spectrogram, max error", "latents of a recording, max error", "samples, high, SNR dB",
                "decoder alone", "generate, balanced", "first block, fast"):
        assert f"| {row} |" in table
    for row in ("generate again, high", "stream in blocks, balanced", "4 threads at once, fast"):
        assert f"| {row} | 0 |" in table
    honest = distill.synthesize
    monkeypatch.setattr(bench.distill, "synthesize", lambda *words: honest(*words) + np.float32(0.01))
    assert bench.main([str(tiny)]) == 6 and "does not sound" in capsys.readouterr().err


def test_bench_counts_what_differs(tiny: Path, card: None, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("_SECONDS", 0.5), ("_SHORT", 0.5), ("_ROUNDS", 1)):
        monkeypatch.setattr(bench, name, value)
    honest, calls = distill.Model.generate, []

    def drifting(self: distill.Model, *words: Any, **knobs: Any) -> np.ndarray:
        calls.append(1)
        return honest(self, *words, **knobs) * np.float32(1 + 1e-6 * len(calls))

    monkeypatch.setattr(distill.Model, "generate", drifting)
    assert bench.main([str(tiny)]) == 6 and "same samples every time" in capsys.readouterr().err


def test_bench_without_a_card(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert bench.main([str(tiny)]) == 5
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and "onnxruntime-gpu" in told.err
