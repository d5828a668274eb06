"""Spectrogram to complex spectrum: magnitudes from the bands, phase from peaks; as in `distill.dsp.start`."""

from __future__ import annotations

from typing import Any

from distill.dsp.start import _NEPERS_PER_DB, _RADIANS, _SILENCE, LOOK_AHEAD, MAX_DB

from .delay import slopes
from .phase import PhaseIntegrator, decide
from .tables import Tables

Array = Any


class StartSpectrum:
    """Rows of a spectrogram in, rows of a complex spectrum and of its magnitudes out, LOOK_AHEAD frames later."""

    def __init__(self, tables: Tables, correct: bool) -> None:
        """`correct`: adjust the interpolated magnitudes once, so that the bands' powers come out right."""
        xp = tables.xp
        self._tables, self._correct = tables, correct
        self._integrate = PhaseIntegrator(tables)
        # waiting frames, and before them the last frame that was done, if any
        self._levels = self._deciding = self._deviation = xp.zeros((0, tables.spec.n_mels), dtype=xp.float32)
        self._begun = False

    def __call__(self, rows: Array, deciding: Array | None = None, end: bool = False) -> tuple[Array, Array]:
        """[2, m, n_mels] -> spectrum [k, n_bins] and magnitudes [k, n_bins].

        `deciding` [m, n_mels], dB: channel 0 of the spectrogram that decides about the phase; the same if None.
        """
        t, xp = self._tables, self._tables.xp
        new = nepers(rows[0, ...], t.spec.floor_db, xp)
        levels = xp.concat([self._levels, new], axis=0)
        choosing = levels
        if deciding is not None:
            choosing = xp.concat([self._deciding, nepers(deciding, t.spec.floor_db, xp)], axis=0)
        deviation = xp.concat([self._deviation, rows[1, ...]], axis=0)

        before = 1 if self._begun else 0
        m = levels.shape[0] - before - (0 if end else LOOK_AHEAD)
        keep = 0 if m <= 0 else before + m - 1
        self._levels, self._deciding, self._deviation = levels[keep:, :], choosing[keep:, :], deviation[keep:, :]
        if m <= 0:
            nothing = xp.zeros((0, t.spec.n_bins), dtype=xp.float32)
            return xp.astype(nothing, xp.complex64), nothing
        self._begun = True

        now = slice(before, before + m)
        log_bins = t.to_bins(levels)
        decisions = decide(choosing[now, :], choosing[0, :] if before else None, t)
        bent = slopes(levels, before, m, decisions.onset, t)
        phase = xp.astype(self._integrate(decisions, deviation[now, :], bent), xp.float32) * float(_RADIANS)
        log_magnitude = log_bins[now, :]
        if self._correct:
            power = t.to_bands(xp.exp(2.0 * log_magnitude)) + 1e-36
            log_magnitude = log_magnitude + t.to_bins(levels[now, :] - 0.5 * xp.log(power))
        magnitude = xp.exp(log_magnitude)
        real, imag = magnitude * xp.cos(phase), magnitude * xp.sin(phase)
        return xp.astype(real, xp.complex64) + xp.astype(imag, xp.complex64) * 1j, magnitude


def nepers(level_db: Array, floor_db: float, xp: Any) -> Array:
    """Log amplitude of band levels in dB. The floor's power is taken off, so a band at the floor is silent."""
    level = xp.clip(level_db, floor_db, MAX_DB)
    excess = (1 + _SILENCE) - xp.exp((floor_db - level) * (2 * _NEPERS_PER_DB))
    return level * _NEPERS_PER_DB + 0.5 * xp.log(xp.clip(excess, _SILENCE, 2.0))
