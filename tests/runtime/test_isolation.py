"""The runtime needs no PyTorch, and says so by working where it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchaudio", "onnx", "onnxscript", "scipy", "librosa", "matplotlib"}:
            raise ImportError(f"{name} is walled off")
sys.meta_path.insert(0, Wall())
import importlib, pkgutil, distill, numpy
for module in pkgutil.walk_packages(distill.__path__, "distill."):
    importlib.import_module(module.name)
model = distill.load(sys.argv[1])
audio = model.generate(1.0, seed=1)
latents = model.encode(audio, model.sample_rate)
for quality in ("fast", "balanced", "high"):
    assert numpy.isfinite(model.synthesize(latents, quality)).all()
assert not {"torch", "torchaudio", "onnx"} & set(sys.modules)
print("ok")
"""


def test_every_module_works_without_torch(tiny: Path) -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM, str(tiny)], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "ok", result.stderr


def test_help_imports_neither_numpy_nor_onnxruntime() -> None:
    program = ("import sys, distill.cli\ntry:\n    distill.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
               "print({'numpy', 'onnxruntime', 'soundfile', 'msgspec'} & set(sys.modules))")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == "set()", result.stdout + result.stderr
