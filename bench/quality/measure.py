"""One recording against one attempt to give it back: every measure, with its column and its definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .recordings import SAMPLE_RATE, Recording

if TYPE_CHECKING:
    from .pitch import Track

Floats = NDArray[np.float32]
Values = dict[str, float]  # by Column.key; NaN where a measure has no meaning


@dataclass(frozen=True)
class Column:
    """A measure as the tables show it."""

    key: str
    heading: str
    digits: int
    best: str  # "low" | "high" | "near 1"
    definition: str
    compute: Callable[[Floats, Floats], float] | None = None  # None: by the pitch tracker, or by the clock
    absolute: bool = False  # the mean is that of the values without their sign


COLUMNS = (
    Column("lsd", "LSD dB", 2, "low", "Log-spectral distance: per frame the RMS over the bins of the difference in "
           "level, then the mean over the frames. n_fft 2048, hop 512; whatever lies 80 dB or more under the loudest "
           "bin of the original counts as 80 dB under it, so each recording is judged at its own level.", metrics.lsd),
    Column("sc", "SC", 3, "low", "Spectral convergence, the norm of the difference of the magnitudes over the norm of "
           "the original's, mean over n_fft 512, 1024, 2048 and 4096 with a hop of a quarter. What is loud decides.",
           metrics.spectral_convergence),
    Column("log_l1", "logL1", 3, "low", "Mean absolute difference of the natural logarithm of the magnitudes, same "
           "four transforms, same floor of 80 dB. What is soft decides.", metrics.log_magnitude_l1),
    Column("attack", "attack dB", 2, "low", "The LSD of three frames only: those from where the original's level "
           "rises most from one frame to the next.", metrics.attack_error),
    Column("envelope", "envelope dB", 2, "low", "Mean absolute difference of the level of short frames (n_fft 256, "
           "hop 64), down to 60 dB under the loudest.", metrics.envelope_error),
    Column("flux", "flux", 3, "high", "Correlation of the spectral flux (n_fft 256, hop 64; the mean rise of log10 "
           "magnitude within 60 dB): do transients stand where they stood?", metrics.flux_correlation),
    Column("level", "level dB", 2, "low", "Difference in RMS level over the whole recording, without its sign.",
           metrics.level_error_db, absolute=True),
    Column("pitch", "<=50 c", 3, "high", "Of the frames that torchcrepe (tiny network, every 20 ms, 50 to 1200 Hz, "
           "weighted argmax) finds voiced (periodicity over .5) in both, the share within 50 cents of each other. "
           "Left out where the original has fewer than ten voiced frames."),
    Column("voicing", "voicing", 3, "high", "The share of frames that it finds voiced in both or in neither."),
    Column("peak", "peak ratio", 2, "near 1", "The largest absolute sample over the original's: does an attack "
           "overshoot?", metrics.peak_ratio),
    Column("cost", "cost", 1, "low", "CPU time of decoding and synthesis as a multiple of that of `distill.synthesize` "
           "(`fast`) for the same recording in the same run."),
)


class Yardstick:
    """A recording to measure attempts with. pitch: whether to track it, which takes most of the time."""

    def __init__(self, recording: Recording, pitch: bool) -> None:
        self.recording, self._pitch = recording, pitch

    @cached_property
    def _track(self) -> Track:
        from .pitch import track

        return track(self.recording.sound, SAMPLE_RATE)

    def measure(self, sound: Floats) -> Values:
        """Every measure of `sound`, an attempt at the recording."""
        values = {c.key: c.compute(self.recording.sound, sound) for c in COLUMNS if c.compute is not None}
        if self._pitch:
            from .pitch import compare, track

            values["pitch"], values["voicing"] = compare(self._track, track(sound, SAMPLE_RATE))
        return values
