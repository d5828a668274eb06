"""Loudness by ITU-R BS.1770-4, in LUFS, and an estimate of the true peak.

A recording is filtered as the head and the ear would (a shelf of +4 dB above 1.7 kHz, a high pass at 38 Hz), its power
is averaged in blocks of 400 ms that begin every 100 ms, blocks under -70 LUFS are left out, then blocks more than 10 LU
under the mean of the rest, and what remains is averaged. A full-scale sine of 997 Hz in one channel reads -3.01 LUFS.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidValue

Floats = NDArray[np.float64]

TARGET_LUFS = -18.0  # what models are brought to: the reference of ReplayGain 2, with headroom for attacks
SILENCE_LUFS = -70.0  # the absolute gate: what is softer has no loudness

_OFFSET = -0.691  # dB; makes the filter's gain at 997 Hz one
_RELATIVE_GATE = -10.0  # LU
_STEP_SECONDS = 0.1
_STEPS_A_BLOCK = 4
_RESPONSE_SECONDS = 0.15  # the high pass has died away by 1e-14
_OVERSAMPLING = 4  # of the true peak, as in BS.1770 annex 2


def k_weighting(sample_rate: int) -> tuple[Floats, Floats]:
    """Coefficients (numerators, denominators), each [2, 3], of the two sections: shelf, then high pass.

    BS.1770 prints them for 48 kHz only. They are bilinear transforms of an analogue shelf and high pass, whose
    frequencies, gain and quality were solved for from the printed numbers (De Man, "Evaluation of implementations of
    the EBU R128 loudness measurement", AES 145, 2018); with these any rate has the same filter.
    """
    k, q, gain = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    bandwidth = gain**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [(gain + bandwidth * k / q + k * k) / a0, 2 * (k * k - gain) / a0, (gain - bandwidth * k / q + k * k) / a0]
    shelf_under = [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return (np.array([shelf, [1.0, -2.0, 1.0]]),
            np.array([shelf_under, [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]]))


class Meter:
    """Loudness of sound that comes in pieces; memory grows by eight bytes per 100 ms.

    The channels count alike: left and right, or one.
    """

    def __init__(self, sample_rate: int) -> None:
        if sample_rate < 4000:
            raise InvalidValue(f"sample_rate is {sample_rate}; loudness needs at least 4000 Hz")
        self._response, self._size, self._taps = _response(sample_rate)
        self._step = round(_STEP_SECONDS * sample_rate)
        self._history: Floats | None = None  # [channels, taps - 1], the input before the next piece
        self._rest = np.empty(0)  # weighted power of samples that do not fill a step
        self._steps: list[float] = []  # energy of each step
        self._energy, self._samples = 0.0, 0

    def push(self, audio: ArrayLike) -> None:
        """The next samples, [samples] or [channels, samples], full scale +-1."""
        piece = np.atleast_2d(np.asarray(audio, np.float64))
        if self._history is None:
            self._history = np.zeros((piece.shape[0], self._taps - 1))
        if piece.ndim != 2 or piece.shape[0] != self._history.shape[0]:
            raise InvalidValue(f"audio has shape {piece.shape}; it must be [{self._history.shape[0]}, samples]")
        room = self._size - (self._taps - 1)
        for start in range(0, piece.shape[1], room):
            part = np.concatenate([self._history, piece[:, start:start + room]], axis=1)
            self._history = part[:, part.shape[1] - (self._taps - 1):]
            weighted = np.fft.irfft(np.fft.rfft(part, self._size) * self._response, self._size)
            self._collect(np.square(weighted[:, self._taps - 1:part.shape[1]]).sum(axis=0))

    def _collect(self, power: Floats) -> None:
        self._energy += float(power.sum())
        self._samples += len(power)
        power = np.concatenate([self._rest, power])
        whole = len(power) - len(power) % self._step
        self._steps.extend(power[:whole].reshape(-1, self._step).sum(axis=1).tolist())
        self._rest = power[whole:]

    @property
    def lufs(self) -> float:
        """Integrated loudness so far; minus infinity where nothing is above the absolute gate.

        Sound shorter than one block of 400 ms is averaged as it is.
        """
        if len(self._steps) < _STEPS_A_BLOCK:
            power = np.array([self._energy / max(1, self._samples)])
        else:
            sums = np.convolve(np.array(self._steps), np.ones(_STEPS_A_BLOCK), "valid")
            power = sums / (_STEPS_A_BLOCK * self._step)
        loud = power[power > _power(SILENCE_LUFS)]
        if len(loud) == 0:
            return -math.inf
        return _lufs(float(loud[loud > loud.mean() * 10 ** (_RELATIVE_GATE / 10)].mean()))


def integrated_lufs(audio: ArrayLike, sample_rate: int) -> float:
    """Integrated loudness of [samples] or [channels, samples]; minus infinity for silence."""
    meter = Meter(sample_rate)
    meter.push(audio)
    return meter.lufs


def true_peak_db(audio: ArrayLike, sample_rate: int) -> float:
    """Largest value between the samples too, dB of full scale, by fourfold oversampling; -200 for silence."""
    import soxr

    samples = np.atleast_2d(np.asarray(audio, np.float32))
    peak = float(np.abs(samples).max(initial=0.0))
    for channel in samples:
        between: Any = soxr.resample(channel, sample_rate, _OVERSAMPLING * sample_rate, quality="HQ")
        peak = max(peak, float(np.abs(between).max(initial=0.0)))
    return 20 * math.log10(max(peak, 1e-10))


@lru_cache(maxsize=8)
def _response(sample_rate: int) -> tuple[NDArray[np.complex128], int, int]:
    """The two sections as one finite response: its transform, the transform's size, and the number of taps.

    A recursive filter is a loop over samples, which numpy cannot do fast; this one has died away after 0.15 s, so a
    convolution by FFT gives the same numbers.
    """
    taps = round(_RESPONSE_SECONDS * sample_rate)
    size = 1 << (2 * taps).bit_length()
    over, under = k_weighting(sample_rate)
    sampled = np.prod(np.fft.rfft(over, size) / np.fft.rfft(under, size), axis=0)
    response = np.fft.irfft(sampled, size)[:taps]
    return np.fft.rfft(response, size), size, taps


def _power(lufs: float) -> float:
    return 10 ** ((lufs - _OFFSET) / 10)


def _lufs(power: float) -> float:
    return 10 * math.log10(power) + _OFFSET
