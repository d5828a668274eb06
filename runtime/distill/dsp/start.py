"""Spectrogram to complex spectrum: magnitudes from the bands, phase from peaks. Every quality begins here."""

from __future__ import annotations

import math
from copy import copy

import numpy as np
from numpy.typing import NDArray

from distill.spec import SpectrogramSpec

from .axis import axis
from .delay import slopes
from .phase import TURN, PhaseIntegrator, decide

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

MAX_DB = 30.0  # levels above are cut: nothing that was analysed is louder, but a network may err
LOOK_AHEAD = 1  # frames: the growth of a level is the difference between the next frame and the last
_NEPERS_PER_DB = math.log(10) / 20
_RADIANS = np.float32(2 * math.pi / TURN)
_SILENCE = 1e-8  # of the floor's power: what a band at the floor keeps


class StartSpectrum:
    """Rows of a spectrogram in, rows of a complex spectrum and of its magnitudes out, LOOK_AHEAD frames later."""

    def __init__(self, spec: SpectrogramSpec, correct: bool) -> None:
        """`correct`: adjust the interpolated magnitudes once, so that the bands' powers come out right."""
        self._spec, self._axis, self._correct = spec, axis(spec), correct
        self._integrate = PhaseIntegrator(spec)
        # waiting frames, and before them the last frame that was done, if any
        self._rows = np.zeros((2, 0, spec.n_mels), np.float32)  # channel 0 in nepers
        self._deciding = self._rows[0]
        self._log_bins = np.zeros((0, spec.n_bins), np.float32)
        self._done = 0

    def twin(self) -> StartSpectrum:
        """Another one that goes on from here."""
        twin = copy(self)
        twin._integrate = copy(self._integrate)
        return twin

    def __call__(self, rows: Floats, deciding: Floats | None = None, end: bool = False) -> tuple[Spectrum, Floats]:
        """[2, m, n_mels] -> spectrum [k, n_bins] and magnitudes [k, n_bins].

        `deciding` [m, n_mels], dB: channel 0 of the spectrogram that decides about the phase; the same if None.
        """
        spec, waiting = self._spec, self._rows.shape[1]
        rows = np.concatenate([self._rows, rows], axis=1)
        levels, deviation = rows[0], rows[1]
        new = nepers(levels[waiting:], spec.floor_db, levels[waiting:])
        choosing = levels
        if deciding is not None:
            choosing = np.concatenate([self._deciding, nepers(deciding, spec.floor_db)])
        log_bins = np.empty((len(levels), spec.n_bins), np.float32)
        log_bins[:waiting] = self._log_bins
        self._axis.to_bins(new, log_bins[waiting:])

        before = 1 if self._done else 0
        m = len(levels) - before - (0 if end else LOOK_AHEAD)
        keep = 0 if m <= 0 else before + m - 1
        self._rows, self._deciding, self._log_bins = rows[:, keep:], choosing[keep:], log_bins[keep:]
        if m <= 0:
            return np.empty((0, spec.n_bins), np.complex64), np.empty((0, spec.n_bins), np.float32)

        now = slice(before, before + m)
        decisions = decide(choosing[: before + m], before, spec)
        bent = slopes(levels, log_bins, before, m, decisions.onsets, spec)
        phase = self._integrate(decisions, deviation[now], bent).astype(np.float32)
        phase *= _RADIANS
        log_magnitude = log_bins[now]
        if self._correct:
            log_magnitude = self._corrected(log_magnitude, levels[now])
        self._done += m
        magnitude = np.exp(log_magnitude)
        spectrum = np.empty((m, spec.n_bins), np.complex64)
        part = np.cos(phase)
        np.multiply(part, magnitude, out=spectrum.real)
        np.sin(phase, out=part)
        np.multiply(part, magnitude, out=spectrum.imag)
        return spectrum, magnitude

    def _corrected(self, log_magnitude: Floats, levels: Floats) -> Floats:
        """Log magnitudes [m, n_bins] moved by the bands' errors in level [m, n_mels], interpolated."""
        power = log_magnitude * np.float32(2)
        np.exp(power, out=power)
        error = self._axis.to_bands_by_frame(power)
        error += np.float32(1e-36)
        np.log(error, out=error)
        error *= np.float32(-0.5)
        error += levels
        result = self._axis.to_bins(error)
        result += log_magnitude
        return result


def nepers(level_db: Floats, floor_db: float, out: Floats | None = None) -> Floats:
    """Log amplitude of band levels in dB. The floor's power is taken off, so a band at the floor is silent."""
    floor = np.float32(floor_db)
    level: Floats = np.maximum(level_db, floor, out=out)
    np.minimum(level, np.float32(MAX_DB), out=level)
    excess = floor - level
    excess *= np.float32(2 * _NEPERS_PER_DB)
    np.exp(excess, out=excess)
    np.subtract(np.float32(1 + _SILENCE), excess, out=excess)
    np.maximum(excess, np.float32(_SILENCE), out=excess)
    np.log(excess, out=excess)
    excess *= np.float32(0.5)
    level *= np.float32(_NEPERS_PER_DB)
    level += excess
    return level
