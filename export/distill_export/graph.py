"""A PyTorch module as a clean, self-contained, reproducible ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 20
_FRAMES = 1 << 20  # more than any input has
# No frame sees another here; nor along an axis, unless it is that of time.
_BY_FRAME = {"Add", "Cast", "Div", "Erf", "Exp", "Expand", "Gelu", "Identity", "MatMul", "Mul", "Pow", "Relu",
             "Reshape", "Shape", "Sigmoid", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"}
_ALONG_AXIS = {"Concat", "Gather", "LayerNormalization", "Softmax", "Split"}


def export_graph(module: torch.nn.Module, input_name: str, output_name: str, example: torch.Tensor,
                 time_multiple: int = 1) -> onnx.ModelProto:
    """Export `module` with dynamic batch (axis 0) and time (last axis).

    example: one input, at least 2 long on both dynamic axes. time_multiple: the input's length in time is a multiple
    of this. What the exporter adds about the machine that ran it (source paths, names of Python objects) is removed,
    so the same weights give the same bytes.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    steps = torch.export.Dim("steps", min=1, max=_FRAMES)
    dynamic = {0: batch, example.ndim - 1: time_multiple * steps if time_multiple > 1 else steps}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), (example,), dynamo=True, external_data=False, opset_version=OPSET, verbose=False,
            input_names=[input_name], output_names=[output_name], dynamic_shapes=(dynamic,), optimize=True)
    assert program is not None
    return _clean(program.model_proto, input_name, output_name)


def _clean(model: onnx.ModelProto, input_name: str, output_name: str) -> onnx.ModelProto:
    model.producer_name, model.producer_version, model.doc_string = "distill", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = output_name, ""
    del graph.metadata_props[:], graph.value_info[:]
    for i, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type}_{i}", ""
        del node.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
        for i, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.dim_value:
                dim.dim_param = "batch" if i == 0 else "latent_frames" if value.name == "latents" else "frames"
    assert [v.name for v in graph.input] == [input_name] and [v.name for v in graph.output] == [output_name]
    onnx.checker.check_model(model, full_check=True)
    return model


def embed(model: onnx.ModelProto, key: str, text: str, more: Mapping[str, str] | None = None) -> bytes:
    """The graph's bytes with a metadata property added, and `more` of them."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    helper.set_model_props(copy, {key: text, **(more or {})})
    return serialise(copy)


def serialise(model: onnx.ModelProto) -> bytes:
    """The same bytes for the same graph."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def receptive_field(model: onnx.ModelProto) -> tuple[int, int]:
    """Latent frames to the left and right that one frame of the output depends on, read off the graph.

    Every tensor reaches as far as the furthest of its inputs, and some operators further (`_further`). Raises
    ValueError for those whose reach is not known to be finite.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*inferred.input, *inferred.value_info)}
    reach: dict[str, tuple[int, int]] = {}
    for node in model.graph.node:
        left, right = _further(node, constants, shapes.get(node.input[0]) if node.input else None)
        left += max((reach.get(name, (0, 0))[0] for name in node.input), default=0)
        right += max((reach.get(name, (0, 0))[1] for name in node.input), default=0)
        for name in node.output:
            reach[name] = (left, right)
    return reach[model.graph.output[0].name]


def _further(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]], shape: Any) -> tuple[int, int]:
    """Frames of its input to the left and right that one frame of a node's output depends on.

    A convolution of kernel k, dilation d and left padding p: p to the left, (k - 1) * d - p to the right. Padding makes
    what follows late by as many frames, and what lies after the end goes back to it; a slice from the n-th frame on
    comes n early. Only axes of unknown length count, for the others are bands and features. A frame counts as a latent
    frame, also behind the step to several spectrogram frames in each: never too few, and parity tells if too many.
    """
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    along = [axis for axis, dim in enumerate(shape) if not dim.HasField("dim_value")] if shape else None
    if node.op_type in _BY_FRAME:
        return 0, 0
    if node.op_type == "Conv":
        if along is not None and len(shape) - 1 not in along:
            return 0, 0
        if attributes.get("strides", [1])[0] != 1:
            raise ValueError("a strided convolution changes the rate")
        before = attributes.get("pads", [0])[0]
        return before, (attributes["kernel_shape"][0] - 1) * attributes.get("dilations", [1])[0] - before
    if node.op_type in _ALONG_AXIS and along is not None:
        axis = attributes.get("axis", -1 if node.op_type in ("LayerNormalization", "Softmax") else 0) % len(shape)
        if axis not in along:
            return 0, 0
    given = [constants.get(name) for name in node.input[1:]]
    if node.op_type == "Pad" and along is not None and attributes.get("mode", b"constant") in (b"constant", b"edge"):
        pads = given[0]
        if pads is not None and len(pads) == 2 * len(shape) and (pads >= 0).all():
            return sum(int(pads[axis]) for axis in along), sum(int(pads[axis + len(shape)]) for axis in along)
    if node.op_type == "Slice" and along is not None and len(given) > 2 and all(value is not None for value in given):
        starts, ends, axes, *steps = (np.ravel(value) for value in given if value is not None)
        open_ended = (ends < 0) | (ends > _FRAMES)  # else it is a few frames, which might be set against all others
        timely = np.isin(axes % len(shape), along)
        if (starts >= 0).all() and open_ended[timely].all() and all((step == 1).all() for step in steps):
            return 0, int(starts[timely].sum())
    raise ValueError(f"{node.op_type} has no receptive field that could be bounded")
