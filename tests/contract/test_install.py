"""A plain install is light and complete: no PyTorch, and sound at once from the built-in model."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import soundfile

ROOT = Path(__file__).resolve().parents[2]


def test_plain_install_makes_sound(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT],
                   check=True, capture_output=True, timeout=600)
    listed = json.loads(subprocess.run([scripts / "python", "-m", "pip", "list", "--format", "json"], check=True,
                                       capture_output=True, text=True).stdout)
    names = {package["name"].lower() for package in listed}
    assert not names & {"torch", "torchaudio", "onnx", "onnxscript", "scipy", "matplotlib", "librosa"}
    done = subprocess.run([scripts / "distill", "generate", "-o", "hello.wav", "--seconds", "3", "--seed", "1",
                           "--json"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["model"] == "vibraphone" and facts["files"][0]["clipped"] == 0
    assert -40 < facts["files"][0]["rms_db"] < -6
    assert soundfile.info(tmp_path / "hello.wav").frames == 3 * 48_000
    for program in ("distill-train", "distill-export"):
        refused = subprocess.run([scripts / program, tmp_path, "-o", tmp_path / "x"], capture_output=True, text=True,
                                 check=False)
        assert refused.returncode == 2 and "pip install 'distill-audio[" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_built_in_bundle_is_small_and_whole(run: object) -> None:
    folder = ROOT / "runtime" / "distill" / "models" / "vibraphone"
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 12_000_000
    done = run("distill", "check", "--json")  # type: ignore[operator]
    assert done.returncode == 0, done.stderr
