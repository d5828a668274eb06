"""Make tests/data/tiny, the bundle that the runtime's tests use: `make tiny`.

A few struck tones are synthesised, a network far smaller than any that is offered is trained on them for 1500 steps,
and the result goes through the ordinary export with its proof.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile

import distill_train.prepare
from distill_export.build import export_bundle
from distill_train import cli
from distill_train.config import NetworkConfig

RATE = 16_000
FOLDER = Path(__file__).parent / "data" / "tiny"


def strike(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A decaying tone with four partials and a little noise at its start."""
    time = np.arange(round(seconds * RATE)) / RATE
    sound = sum(np.sin(2 * np.pi * frequency * ratio * time + phase) * np.exp(-time * (3 + 2 * ratio)) / ratio
                for ratio, phase in zip((1, 2, 3.01, 4.2), rng.uniform(0, 6, 4), strict=True))
    return 0.3 * sound + 0.05 * rng.standard_normal(len(time)) * np.exp(-time * 60)


def main() -> None:
    rng = np.random.default_rng(1)
    # The smallest that still has everything: two blocks, so that the receptive field adds up.
    distill_train.prepare.network_config = lambda size, spec, parts=(5, 3), *_: NetworkConfig(
        n_mels=spec.n_mels, parts=parts, width=24, blocks=2, expansion=2, kernel_size=5)
    with tempfile.TemporaryDirectory() as folder:
        corpus, run = Path(folder) / "corpus", Path(folder) / "run"
        corpus.mkdir()
        for index, frequency in enumerate((220, 277, 330, 415, 523, 659)):
            soundfile.write(corpus / f"tone_{index}.wav", strike(frequency, 1.0 + 0.1 * index, rng), RATE)
        try:
            cli.main([str(corpus), "-o", str(run), "--steps", "1500", "--seed", "1", "--sample-rate", str(RATE),
                      "--n-fft", "512", "--hop-length", "128", "--n-mels", "64", "--threads", "1"])
        except SystemExit as stop:
            if stop.code:
                raise
        result = export_bundle(run, FOLDER, name="tiny", license_id="CC0-1.0", variants=("fp16", "int8"),
                               force=FOLDER.exists())
    print(f"{result.path}: {result.bytes / 1e3:.0f} KB")


if __name__ == "__main__":
    main()
