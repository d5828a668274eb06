"""The runtime needs no PyTorch, and says so by working where it cannot be imported."""

from __future__ import annotations

import os
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


def test_nothing_is_kept_at_home_to_be_sent_to_anybody(tiny: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("CI", "ORT_DISABLE_TELEMETRY") and not name.startswith("XDG_")}
    program = "import sys, distill; distill.load(sys.argv[1]).generate(0.1)"
    subprocess.run([sys.executable, "-c", program, str(tiny)], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []  # onnxruntime's telemetry would have a data base there
