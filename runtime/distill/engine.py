"""One ONNX graph in onnxruntime, on the device that was asked for or not at all."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Literal

import numpy as np

from .dsp import heap  # noqa: F401  isort: skip  before onnxruntime, which fills megabytes of it
import onnxruntime as ort
from numpy.typing import NDArray

from .bundle import VARIANT_KEY
from .cuda import ADVICE, Cuda, Memory, guarded
from .errors import INCOMPATIBLE, BundleError, DeviceError, InvalidValue, NumericError

Device = Literal["auto", "cpu", "cuda"]
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

def has_cuda() -> bool:
    """Whether onnxruntime was built with CUDA, which "auto" then is."""
    return _PROVIDERS["cuda"] in ort.get_available_providers()


ort.set_default_logger_severity(4)  # its warnings go to stdout or stderr as it likes; errors reach us as exceptions


class Engine:
    """A graph with one float32 input and one output. Safe to share between threads.

    `graph`: the bytes of an .onnx file; `where` names it in messages. Raises BundleError for bytes that are no
    graph, DeviceError where `device` cannot be had. "auto" is CUDA where onnxruntime was built with it; if it then
    cannot be used, one line on stderr says why, and that the CPU runs the graph instead; the same is said once.

    fused: False where the CPU need not look for operators to run as one: a graph of floats is as fast without, its
    numbers are the same, and it is loaded sooner; one of whole numbers would be a sixth slower.

    device: what runs the graph, "cpu" or "cuda". provider: onnxruntime's name for it.
    """

    def __init__(self, graph: bytes, where: str, device: Device = "cpu", threads: int = 1, *,
                 fused: bool = True) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise InvalidValue(f"device is {device!r}; it must be auto, cpu or cuda")
        if threads < 1:
            raise InvalidValue(f"threads is {threads}; it must be at least 1")
        self._fused = fused
        if device != "auto":
            self._open(graph, where, device, threads)
        elif not has_cuda():
            self._open(graph, where, "cpu", threads)
        else:
            try:
                self._open(graph, where, "cuda", threads)
            except DeviceError as error:
                _say(f"distill: {error}; running on {_PROVIDERS['cpu']}")
                self._open(graph, where, "cpu", threads)

    def _open(self, graph: bytes, where: str, wanted: Literal["cpu", "cuda"], threads: int) -> None:
        if _PROVIDERS[wanted] not in ort.get_available_providers():
            raise DeviceError(f"onnxruntime has no CUDA provider here; {ADVICE}")
        memory: Memory | None = Cuda() if wanted == "cuda" else None
        provider: Any = _PROVIDERS[wanted] if memory is None else (_PROVIDERS[wanted], dict(memory.options))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_mem_pattern = False  # one block for all of a run: no faster, and more memory
        options.use_deterministic_compute = wanted == "cuda"
        if wanted == "cpu" and not self._fused:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            session = _session(graph, options, provider)
        except Exception as error:
            if wanted == "cuda" and _opens_on_cpu(graph, options):
                raise DeviceError(f"CUDA cannot be used: {_first_line(error)}") from None
            raise BundleError(f"{where}: not a graph that onnxruntime can run. {INCOMPATIBLE}") from None
        if session.get_providers()[0] != _PROVIDERS[wanted]:
            raise DeviceError(f"CUDA was asked for and onnxruntime chose {session.get_providers()[0]}; "
                              f"check the driver with nvidia-smi, or {ADVICE}")
        if wanted == "cuda" and session.get_modelmeta().custom_metadata_map.get(VARIANT_KEY) == "int8":
            raise DeviceError(f"{where}: int8 is for CPUs, onnxruntime would quantise on the CPU all the same; "
                              "use --variant fp32 or fp16, or --device cpu")
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise BundleError(f"{where}: the graph must have one float32 input and one output. {INCOMPATIBLE}")
        self.where = where
        self.provider: str = session.get_providers()[0]
        self.input_name: str = inputs[0].name
        self.input_shape: list[int | str | None] = inputs[0].shape
        self.output_shape: list[int | str | None] = outputs[0].shape
        self.device = wanted
        self._output_name: str = outputs[0].name
        self.memory = memory
        self._session = session

    @property
    def metadata(self) -> dict[str, str]:
        """The graph's own key-value metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph. Raises NumericError where the result is not finite."""
        try:
            (result,) = self._session.run(None, {self.input_name: np.ascontiguousarray(array, np.float32)})
        except Exception as error:
            raise self._failure(error) from None
        if not np.isfinite(result).all():
            raise NumericError(f"{self.where}: the graph gave numbers that are not finite")
        return np.asarray(result, np.float32)

    def run_in_place(self, array: NDArray[np.float32], shape: tuple[int, ...]) -> Any:
        """The same, and the result, of `shape`, stays in the device's memory: an array of its library."""
        memory = self.memory
        if memory is None:
            return self.run(array)
        with self.guarded():
            result = memory.empty(shape)
            memory.wait()  # for whoever had that memory before
        try:
            binding = self._session.io_binding()
            binding.bind_cpu_input(self.input_name, np.ascontiguousarray(array, np.float32))
            binding.bind_output(self._output_name, memory.device_type, 0, np.float32, shape, memory.address(result))
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except Exception as error:
            raise self._failure(error) from None
        with self.guarded():
            finite = bool(memory.xp.all(memory.xp.isfinite(result)))
        if not finite:
            raise NumericError(f"{self.where}: the graph gave numbers that are not finite")
        return result

    def guarded(self) -> AbstractContextManager[None]:
        """Around what else is computed on the device: its failures as DeviceError."""
        return nullcontext() if self.memory is None else guarded()

    def _failure(self, error: Exception) -> BundleError | DeviceError:
        """What the failure of a run means: a graph that loaded fails for its own fault, or for the card's memory."""
        kind = BundleError if self.memory is None else DeviceError
        return kind(f"{self.where}: onnxruntime failed on {self.provider} ({_first_line(error)})")


def _session(graph: bytes, options: ort.SessionOptions, provider: Any) -> ort.InferenceSession:
    # without enable_fallback=0 onnxruntime would change to the CPU by itself, now or while it runs
    return ort.InferenceSession(graph, options, providers=[provider], enable_fallback=0)


def _opens_on_cpu(graph: bytes, options: ort.SessionOptions) -> bool:
    """Whether it is a graph at all."""
    try:
        _session(graph, options, _PROVIDERS["cpu"])
    except Exception:
        return False
    return True


@cache
def _say(line: str) -> None:
    """One line on stderr, the first time only: a blend loads several models, and a model two graphs."""
    print(line, file=sys.stderr)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
