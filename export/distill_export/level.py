"""How loud a model is at its defaults, and the gain that makes it as loud as every other."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from distill import dsp
from distill.loudness import SILENCE_LUFS, TARGET_LUFS, Meter, true_peak_db
from distill.model import Model
from distill.sidecar import Loudness

Array = NDArray[np.float32]

_SEEDS, _SECONDS = 4, 30.0  # of sound that is measured
_MAX_GAIN_DB = 40.0  # a model of near silence is not blown up into its own noise


def unmeasured(loudest_frame_db: float) -> Loudness:
    """What can be said before the model plays: the loudest frame of its corpus. All else stands at zero."""
    return Loudness(rms_db=0.0, peak_db=0.0, true_peak_db=0.0, lufs=0.0, target_lufs=0.0, gain_db=0.0,
                    corpus_rms_db=0.0, frame_limit_db=round(loudest_frame_db, 2))


def measure_loudness(model: Model, originals: Iterable[Array]) -> Loudness:
    """Play the model at its defaults, without gain, and measure.

    originals: the corpus's spectrograms [2, n_mels, frames], in dB and IF units.
    """
    meter, made = Meter(model.sample_rate), _Power()
    for seed in range(_SEEDS):
        for block in model.stream(_SECONDS, seed=seed, block=10 * model.sample_rate, loudness="model"):
            meter.push(block)
            made.add(block)
            made.true_peak_db = max(made.true_peak_db, true_peak_db(block, model.sample_rate))
    corpus = _Power()
    for spectrogram in originals:
        corpus.add(dsp.synthesize(spectrogram, model.spec, "fast"))
    lufs = round(max(meter.lufs, SILENCE_LUFS), 2)
    gain = 0.0 if lufs == SILENCE_LUFS else min(TARGET_LUFS - lufs, _MAX_GAIN_DB)
    return Loudness(rms_db=made.rms_db, peak_db=round(20 * math.log10(max(made.peak, 1e-10)), 2),
                    true_peak_db=round(made.true_peak_db, 2), lufs=lufs, target_lufs=TARGET_LUFS,
                    gain_db=round(gain, 2), corpus_rms_db=corpus.rms_db,
                    frame_limit_db=model.sidecar.loudness.frame_limit_db)


class _Power:
    """RMS and peaks of sound that comes in pieces."""

    def __init__(self) -> None:
        self.energy, self.samples, self.peak, self.true_peak_db = 0.0, 0, 0.0, -200.0

    def add(self, audio: Array) -> None:
        self.energy += float(np.sum(np.square(audio, dtype=np.float64)))
        self.samples += len(audio)
        self.peak = max(self.peak, float(np.abs(audio).max(initial=0.0)))

    @property
    def rms_db(self) -> float:
        return round(10 * math.log10(max(self.energy / max(1, self.samples), 1e-20)), 2)
