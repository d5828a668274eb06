"""The absolute floor of the level channel: low enough for the quiet recordings, no lower than is of use.

A floor at a fixed level cuts the tails off quiet recordings; one far below everything spends the model's effort on
noise. 90 dB under the peak of the quieter recordings is below what is heard beside that peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from distill.dsp import analyze
from distill.spec import SpectrogramSpec

from .audio import resample
from .corpus import Recording
from .reader import read_mono

DEPTH_DB = 90.0
PERCENTILE = 10.0
STEP_DB = 5.0
RANGE_DB = (-140.0, -80.0)
_EXCERPT_SECONDS = 0.5  # to either side of the loudest sample


def choose_floor_db(peaks_db: Sequence[float]) -> float:
    """From the highest band level of each recording: the 10th percentile, less 90 dB, to the next 5 dB, in range."""
    floor = float(np.percentile(np.asarray(peaks_db), PERCENTILE)) - DEPTH_DB
    return float(np.clip(STEP_DB * round(floor / STEP_DB), *RANGE_DB))


def peak_band_level_db(recording: Recording, spec: SpectrogramSpec) -> float:
    """The highest level of any band near the recording's loudest sample, in dB."""
    around = round(_EXCERPT_SECONDS * recording.sample_rate)
    excerpt, rate = read_mono(recording.path, max(0, recording.peak_sample - around), recording.peak_sample + around)
    samples = resample(excerpt, rate, spec.sample_rate)
    return float(analyze(samples, replace(spec, floor_db=-200.0))[0].max())

