"""What ours is measured beside: its own decoder in PyTorch, RAVE v2 and Vocos, each as a task to be timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from distill.model import Model
from distill_train.config import LOOKS, NetworkConfig
from distill_train.network import Decoder

Array = NDArray[np.float32]
PEERS = Path(__file__).resolve().parents[2] / "build" / "peers"


def eager(bundle: Path, model: Model, latents: Array) -> Callable[[], object]:
    """The decoder as the PyTorch module it was trained as, with the weights of the bundle's graph."""
    graph = onnx.load(bundle / "decoder.onnx").graph
    tensors = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
    width, hidden = len(tensors["expand.bias"]), len(tensors["blocks.0.expand.bias"])
    decoder = Decoder(NetworkConfig(
        n_mels=model.spec.n_mels, parts=_parts(graph), width=width, expansion=hidden // width,
        frames_per_latent=model.sidecar.latent.frames_per_latent,
        blocks=sum(name.endswith("norm.weight") for name in tensors),
        kernel_size=tensors["blocks.0.depthwise.weight"].shape[2])).eval()
    # in the graph a linear layer is a nameless product and a sum with its named bias
    adds = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors:
            bias = next(name for name in adds[node.output[0]].input if name in tensors)
            tensors[bias.removesuffix("bias") + "weight"] = tensors[node.input[1]].T
    # the offsets are in the graph as they are between the knots
    folded = next(tensor for tensor in tensors.values() if tensor.shape == (LOOKS, model.spec.n_mels))
    tensors["frequency.offset"] = folded @ torch.linalg.pinv(decoder.frequency.between)
    decoder.load_state_dict({name: tensors[name] for name in decoder.state_dict()})
    tensor = torch.from_numpy(latents)[None]

    def task() -> NDArray[np.float32]:
        with torch.inference_mode():
            result: Array = decoder(tensor)[0].numpy()
        return result

    error = float(np.abs(task() - model._decoder.normalised(latents)).max())
    if error > 1e-4:
        raise SystemExit(f"the module in PyTorch and the graph differ by {error:.1e}")
    return task


def _parts(graph: onnx.GraphProto) -> tuple[int, ...]:
    """Latents of each part of a patch."""
    split = next(node for node in graph.node if node.op_type == "Split")
    sizes = next(onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name == split.input[1])
    return tuple(sizes.tolist())


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def rave(seconds: float) -> tuple[Callable[[], object], float]:
    """RAVE v2's decoder for a quarter of `seconds`, and how many seconds of sound that is."""
    session, frames = _session(PEERS / "rave_v2.onnx"), round(seconds / 4 * 44100 / 2048)
    x = np.random.default_rng(0).standard_normal((1, 128, frames)).astype(np.float32)
    return partial(session.run, None, {"x": x}), frames * 2048 / 44100


def vocos(seconds: float) -> tuple[Callable[[], object], float]:
    """Vocos, its ISTFT included, for half of `seconds`, and how many seconds of sound that is."""
    session, frames = _session(PEERS / "vocos.onnx"), round(seconds / 2 * 44100 / 512)
    x = np.random.default_rng(0).standard_normal((1, 128, frames)).astype(np.float32)
    window = torch.hann_window(2048)

    def task() -> object:
        magnitude, phase = torch.from_numpy(session.run(None, {"x": x})[0]).chunk(2, dim=1)
        magnitude = torch.exp(magnitude).clip(max=1e2)
        spectrum = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        return torch.istft(spectrum, 2048, 512, 2048, window, center=True)

    return task, frames * 512 / 44100
