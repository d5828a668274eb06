"""The same bundle in other runtimes: python -m bench.interop.run BUNDLE. Writes docs/interop.md.

Every graph of the bundle decodes the golden latents in onnxruntime-node, onnxruntime-web (WebAssembly, in Node) and
OpenVINO, and is held to the tolerance that `distill check` uses. `make bench-interop` installs them under build/.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import distill
from distill.benchmark import medians
from distill.golden import replay
from distill.sidecar import DECODERS
from distill.tuning import processor

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NPM = ROOT / "build" / "interop"  # holds node_modules
OPENVINO = ROOT / "build" / "peers" / "venv" / "bin" / "python"


def main(bundle: Path) -> int:
    model = distill.load(bundle, device="cpu")
    golden = model._bundle.arrays("golden")
    latents, facts = golden["latents"].astype(np.float32), model.sidecar.normalization
    mean, std = (np.array(v, np.float32).reshape(2, 1, 1) for v in (facts.mean, facts.std))
    expected = (golden["spectrogram"] - mean) / std
    rows, failed = [], False
    for variant in model.sidecar.variants:
        native = distill.load(bundle, device="cpu", variant=variant)
        allowed = replay(native)["max_error_allowed"]
        entry = model.sidecar.file(DECODERS[variant])
        assert entry is not None
        spent = medians({0: partial(native._engine.run, latents[None])}, 15, time.process_time)[0] * 1e3
        error = float(np.abs(native._decoder.normalised(latents) - expected).max())
        rows.append((f"onnxruntime {ort.__version__} (Python)", variant, error, allowed, spent))
        for name, result in _others(bundle / entry.path, latents):
            if isinstance(result, str):
                rows.append((name, variant, result, allowed, None))
                failed = True
                continue
            data, milliseconds = result
            error = float(np.abs(data - expected).max())
            failed |= not error <= allowed
            rows.append((name, variant, error, allowed, milliseconds))
    (ROOT / "docs" / "interop.md").write_text(_page(rows, latents.shape[1], model.sidecar.latent.rate_hz))
    print((ROOT / "docs" / "interop.md").read_text())
    return int(failed)


def _others(graph: Path, latents: NDArray[np.float32]) -> list[tuple[str, Any]]:
    node = str(HERE / "decode.cjs")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "latents", Path(folder) / "spectrogram"
        latents.astype("<f4").tofile(source)
        shape = [str(n) for n in latents.shape]
        for name, command in (
                (f"onnxruntime-node {_npm('onnxruntime-node')}", ["node", node, "node"]),
                (f"onnxruntime-web {_npm('onnxruntime-web')} (WebAssembly)", ["node", node, "web"]),
                (f"OpenVINO {_openvino()}", [str(OPENVINO), str(HERE / "openvino_decode.py")])):
            done = subprocess.run([*command, str(graph.resolve()), str(source), *shape, str(target)], cwd=NPM,
                                  capture_output=True, text=True, timeout=120)
            if done.returncode:
                results.append((name, (done.stderr.strip().splitlines() or ["failed"])[-1][:120]))
                continue
            said = json.loads(done.stdout.strip().splitlines()[-1])
            results.append((name, (np.fromfile(target, "<f4").reshape(said["dims"])[0], said["ms"])))
    return results


def _npm(package: str) -> str:
    return str(json.loads((NPM / "node_modules" / package / "package.json").read_text())["version"])


def _openvino() -> str:
    done = subprocess.run([str(OPENVINO), "-c", "from importlib.metadata import version; print(version('openvino'))"],
                          capture_output=True, text=True)
    return done.stdout.strip() or version("openvino")


def _page(rows: list[tuple[str, str, Any, float, float | None]], frames: int, rate_hz: float) -> str:
    lines = ["# Other runtimes\n",
             f"Written by `make bench-interop` on {processor()}, one thread each. A bundle's graphs use operators of\n"
             "ONNX itself only (opset 20), so any runtime of that age can play them. Here each decodes the bundle's "
             f"golden latents,\n{frames} latent frames ({frames / rate_hz:.2f} s of sound); the error is against the "
             "golden spectrogram, in normalised units,\nand must stay within what `distill check` allows. Times are "
             "processor time; other programs ran on this machine too.\n",
             "| runtime | variant | max error | allowed | ms |", "|---|---|---|---|---|"]
    for name, variant, error, allowed, spent in rows:
        figure = f"**{error}**" if isinstance(error, str) else f"{error:.1e}{'' if error <= allowed else ' **beyond**'}"
        lines.append(f"| {name} | {variant} | {figure} | {allowed:.1e} | {'' if spent is None else f'{spent:.2f}'} |")
    lines.append("""
What a runtime needs besides the graph: latents on the fixed grid with their context, the statistics of the sidecar,
and phase and ISTFT as described in [spectrogram.md](spectrogram.md). In a browser, run the session in a Worker: an
AudioWorklet cannot hold one.
""")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
