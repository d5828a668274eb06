"""One ONNX graph in onnxruntime, on the device that was asked for or not at all."""

from __future__ import annotations

import sys
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .errors import INCOMPATIBLE, BundleError, DeviceError, InvalidValue, NumericError

Device = Literal["auto", "cpu", "cuda"]
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
GPU_ADVICE = ("onnxruntime has no CUDA provider here; run: pip uninstall -y onnxruntime && "
              "pip install onnxruntime-gpu")

ort.set_default_logger_severity(4)  # its warnings go to stdout or stderr as it likes; errors reach us as exceptions


class Engine:
    """A graph with one float32 input and one output. Safe to share between threads.

    `graph`: the bytes of an .onnx file; `where` names it in messages. Raises BundleError for bytes that are no
    graph, DeviceError where `device` cannot be had. "auto" is CUDA where onnxruntime was built with it; if it then
    cannot be used, one line on stderr says why, and that the CPU runs the graph instead.
    """

    def __init__(self, graph: bytes, where: str, device: Device = "cpu", threads: int = 1) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise InvalidValue(f"device is {device!r}; it must be auto, cpu or cuda")
        if threads < 1:
            raise InvalidValue(f"threads is {threads}; it must be at least 1")
        if device != "auto":
            self._open(graph, where, device, threads)
        elif _PROVIDERS["cuda"] not in ort.get_available_providers():
            self._open(graph, where, "cpu", threads)
        else:
            try:
                self._open(graph, where, "cuda", threads)
            except DeviceError as error:
                print(f"distill: {error}; running on {_PROVIDERS['cpu']}", file=sys.stderr)
                self._open(graph, where, "cpu", threads)

    def _open(self, graph: bytes, where: str, wanted: Literal["cpu", "cuda"], threads: int) -> None:
        if _PROVIDERS[wanted] not in ort.get_available_providers():
            raise DeviceError(GPU_ADVICE)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(graph, options, providers=[_PROVIDERS[wanted]])
        except Exception as error:
            if wanted == "cuda":
                raise DeviceError(f"CUDA cannot be used: {_first_line(error)}") from None
            raise BundleError(f"{where}: not a graph that onnxruntime can run. {INCOMPATIBLE}") from None
        if session.get_providers()[0] != _PROVIDERS[wanted]:
            raise DeviceError(f"CUDA was asked for and onnxruntime chose {session.get_providers()[0]}; "
                              f"check the driver and the CUDA libraries")
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise BundleError(f"{where}: the graph must have one float32 input and one output. {INCOMPATIBLE}")
        self.where = where
        self.provider: str = session.get_providers()[0]
        self.input_name: str = inputs[0].name
        self.input_shape: list[int | str | None] = inputs[0].shape
        self.output_shape: list[int | str | None] = outputs[0].shape
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
            raise BundleError(f"{self.where}: onnxruntime failed ({_first_line(error)})") from None
        if not np.isfinite(result).all():
            raise NumericError(f"{self.where}: the graph gave numbers that are not finite")
        return np.asarray(result, np.float32)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
