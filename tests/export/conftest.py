"""One small run for all export tests: five tones, twenty steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

BIN = Path(sys.executable).parent
RATE = 16_000


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    folder = tmp_path_factory.mktemp("export")
    corpus = folder / "corpus"
    corpus.mkdir()
    rng = np.random.default_rng(0)
    for index in range(5):
        time = np.arange(round((0.8 + 0.2 * index) * RATE)) / RATE
        tone = 0.4 * np.sin(2 * np.pi * 200 * (index + 1) * time) * np.exp(-4 * time)
        soundfile.write(corpus / f"{index}.wav", tone + 0.001 * rng.standard_normal(len(time)), RATE)
    subprocess.run([BIN / "distill-train", corpus, "-o", folder / "run", "--steps", "20", "--sample-rate", str(RATE),
                    "--n-fft", "512", "--hop-length", "128", "--n-mels", "48", "--size", "small", "--threads", "1"],
                   check=True, capture_output=True)
    return folder / "run"
