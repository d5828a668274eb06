"""Smaller decoders: weights stored as half floats, or as 8-bit integers. Input and output stay float32.

fp16  Every weight matrix is stored in half precision and cast back when the graph is loaded: half the file, the same
      speed, and sums in float32 as before.

int8  The matrix products of the blocks run on integers: weights are quantised here, one scale a column; activations
      when the graph runs, one scale and zero point for the whole tensor (ONNX DynamicQuantizeLinear). So a result
      depends a little on what is decoded together with it. Products of the latents themselves, of which a few are a
      hundred times louder than the rest, stay float32, and so do the smallest.

      Weights keep 7 bits. x86 processors without VNNI add pairs of 8 x 8 bit products in 16 bits and saturate:
      255 * (127 + 127) does not fit, 255 * (64 + 64) = 32640 does. With 7 bits the integers are the same everywhere;
      with 8 the error on such a machine was 4.9 standard deviations.

      In every product, part of the difference in loudness is moved into the weights, which have scales of their own:
      x @ W = (x / s) @ (s W), with s = sqrt(max|x| / max|W|) for each input (Xiao et al. 2023, "SmoothQuant", eq. 4,
      alpha = 1/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from distill.errors import InvalidValue
from distill.sidecar import Role

from .graph import serialise
from .parity import Limits

Array = NDArray[np.float32]
Message = TypeVar("Message", onnx.ModelProto, NodeProto, TensorProto)

ROLES: dict[str, Role] = {"fp16": "decoder.fp16", "int8": "decoder.int8"}
FILES = {"fp16": "decoder.fp16.onnx", "int8": "decoder.int8.onnx"}
DTYPES = {"fp16": "float16", "int8": "int8"}
LIMITS = {
    "fp16": Limits(max_error=5e-2, snr_db=None, lsd_db=0.5, level_db=0.1, own_decisions=False),
    "int8": Limits(max_error=0.25, snr_db=None, lsd_db=1.0, level_db=0.2, own_decisions=False),
}

_SMALL = 16  # a product of fewer inputs or outputs stays float32
_STEPS = 64  # largest magnitude of a quantised weight: 7 bits with sign
_CALIBRATION = 2048  # latent frames whose activations are looked at


def check_variants(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of `ROLES`, each once. Raises InvalidValue for one there is not."""
    for name in names:
        if name not in ROLES:
            raise InvalidValue(f"variant is {name!r}; it must be fp16 or int8 (fp32 is always there)")
    return tuple(name for name in ROLES if name in names)


def make_variant(name: str, decoder: onnx.ModelProto, latents: Array) -> onnx.ModelProto:
    """The decoder as variant `name`; latents [latent_dim, any] of the corpus show which activations are loud."""
    return _half(decoder) if name == "fp16" else _int8(decoder, latents)


def _half(decoder: onnx.ModelProto) -> onnx.ModelProto:
    model = _copy(decoder)
    graph, casts, tensors = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim >= 2:
            stored = f"{tensor.name}.half"
            tensors.append(numpy_helper.from_array(values.astype(np.float16), stored))
            casts.append(helper.make_node("Cast", [stored], [tensor.name], f"Cast_{tensor.name}", to=TensorProto.FLOAT))
        else:
            tensors.append(tensor)
    return _rebuilt(model, [*casts, *graph.node], tensors)


def _int8(decoder: onnx.ModelProto, latents: Array) -> onnx.ModelProto:
    model = _copy(decoder)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    sizes = {name: min(tensor.dims) for name, tensor in tensors.items() if len(tensor.dims) == 2}
    of_latents = _latents(graph)
    products = [n for n in graph.node if n.op_type == "MatMul" and sizes.get(n.input[1], 0) >= _SMALL
                and n.input[0] not in of_latents]
    loudest = _loudest(model, [n.input[0] for n in products], latents)
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node not in products:
            nodes.append(node)
            continue
        weights = numpy_helper.to_array(tensors.pop(node.input[1]))
        new, extra = _integer_product(node, weights, loudest[node.input[0]])
        nodes += new
        tensors.update((tensor.name, tensor) for tensor in extra)
    return _rebuilt(model, nodes, list(tensors.values()))


def _latents(graph: GraphProto) -> set[str]:
    """Names of the latents, whole, with time before them, and those of each part."""
    names = {graph.input[0].name}
    for node in graph.node:
        if node.op_type in ("Transpose", "Split") and node.input[0] in names:
            names.update(node.output)
    return names


def _integer_product(node: NodeProto, weights: Array, loudest: Array) -> tuple[list[NodeProto], list[TensorProto]]:
    """A MatMul on integers. weights [inputs, outputs]; loudest [inputs], the largest magnitude of each input."""
    smooth = _smooth(loudest, weights)
    scaled = weights * smooth[:, None]
    scale = np.maximum(np.abs(scaled).max(axis=0), np.float32(1e-20)) / np.float32(_STEPS)

    result = node.output[0]
    tensors = {"smooth": 1 / smooth, "weight": np.rint(scaled / scale).astype(np.int8), "weight_scale": scale}
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Mul", ["source", "smooth"], ["input"], {}),
        ("DynamicQuantizeLinear", ["input"], ["input_int", "input_scale", "input_zero"], {}),
        ("MatMulInteger", ["input_int", "weight", "input_zero"], ["sum"], {}),
        ("Cast", ["sum"], ["float"], {"to": TensorProto.FLOAT}),
        ("Mul", ["input_scale", "weight_scale"], ["scale"], {}),
        ("Mul", ["float", "scale"], ["result"], {})]

    def name(key: str) -> str:
        named: dict[str, str] = {"source": node.input[0], "result": result}
        return named.get(key, f"{result}.{key}")

    nodes = [helper.make_node(op, [name(key) for key in inputs], [name(key) for key in outputs],
                              f"{op}_{name(outputs[0])}", **attributes) for op, inputs, outputs, attributes in steps]
    return nodes, [numpy_helper.from_array(values, name(key)) for key, values in tensors.items()]


def _smooth(loudest: Array, weights: Array) -> Array:
    """Factor [inputs], about one on average, that evens out the inputs (see the top of the file)."""
    ratio = np.sqrt(np.maximum(loudest, 1e-6) / np.maximum(np.abs(weights).max(axis=1), 1e-6)).astype(np.float64)
    result: Array = (ratio / np.exp(np.log(ratio).mean())).astype(np.float32)
    return result


def _loudest(model: onnx.ModelProto, names: list[str], latents: Array) -> dict[str, Array]:
    """Largest magnitude of each feature (last axis) of the tensors `names`, over corpus latents."""
    if not names:
        return {}
    watched = _copy(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in set(names))
    session = onnxruntime.InferenceSession(serialise(watched), providers=["CPUExecutionProvider"])
    part = np.ascontiguousarray(latents[None, :, :_CALIBRATION], np.float32)
    values = session.run(names, {session.get_inputs()[0].name: part})
    return {name: np.abs(value).max(axis=tuple(range(value.ndim - 1))) for name, value in zip(names, values,
                                                                                             strict=True)}


def _rebuilt(model: onnx.ModelProto, nodes: list[NodeProto], tensors: list[TensorProto]) -> onnx.ModelProto:
    nodes, tensors = [_copy(node) for node in nodes], [_copy(tensor) for tensor in tensors]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensors)
    onnx.checker.check_model(model, full_check=True)
    return model


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
