"""Joining spectrogram segments that overlap.

The overlap is crossfaded with the rising half of a Hann window and its mirror image, which add up to one. Levels
are mixed as power, as the sounds themselves would be (their phases are unrelated): a mean of the dB would sink to
half way towards the floor wherever only one side sounds. Of two frequencies, the louder counts for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distill.arrays import namespace
from distill.errors import InvalidValue, NumericError

Floats = NDArray[np.float32]


def overlap_add(segments: Sequence[ArrayLike], overlap_frames: int) -> Floats:
    """Segments [2, n_mels, frames] in dB and deviation, each overlapping the next -> [1, 2, n_mels, total_frames].

    total_frames is the sum of the segments' frames less `overlap_frames` for each joint. In the overlap, the power
    of channel 0 is crossfaded and channel 1 is averaged with that power as its weight.

    Raises InvalidValue for shapes that do not fit together, NumericError if a segment is not finite.
    """
    if isinstance(overlap_frames, bool) or not isinstance(overlap_frames, (int, np.integer)) or overlap_frames < 0:
        raise InvalidValue(f"overlap_frames is {overlap_frames!r}; it must be a whole number, 0 or more")
    parts = [np.asarray(segment) for segment in segments]
    if not parts:
        raise InvalidValue("segments is empty; it must hold at least one [2, n_mels, frames]")
    overlap = int(overlap_frames)
    _check(parts, overlap)

    total = sum(part.shape[2] for part in parts) - overlap * (len(parts) - 1)
    result = np.empty((1, 2, parts[0].shape[1], total), np.float32)
    joined = result[0]
    rise = rising(overlap)
    at = 0
    for number, part in enumerate(parts):
        frames = part.shape[2]
        faded = overlap if number else 0
        if faded:
            region = joined[:, :, at : at + overlap]
            region[:] = mixed(region, part[:, :, :overlap], rise)
        joined[:, :, at + faded : at + frames] = part[:, :, faded:]
        at += frames - overlap
    return result


def rising(overlap_frames: int) -> NDArray[np.float64]:
    """Weights [overlap_frames] of the segment that comes in."""
    result: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap_frames) + 0.5) / max(1, overlap_frames))
    return result


def mixed(old: Any, new: Any, rise: NDArray[np.float64]) -> Any:
    """Crossfade of two [2, n_mels, frames], of any device; `rise` [frames] is the weight of `new`."""
    xp = namespace(old)
    old, new, rise = (xp.asarray(values, dtype=xp.float64) for values in (old, new, rise))
    # powers relative to the louder of the two, so that no level is too high or too low for the numbers
    louder = xp.maximum(old[0, ...], new[0, ...])
    old_power = (1 - rise) * 10 ** ((old[0, ...] - louder) / 10)
    new_power = rise * 10 ** ((new[0, ...] - louder) / 10)
    power = old_power + new_power
    levels, deviations = louder + 10 * xp.log10(power), (old_power * old[1, ...] + new_power * new[1, ...]) / power
    return xp.asarray(xp.stack([levels, deviations]), dtype=xp.float32)


def _check(parts: list[NDArray[np.generic]], overlap: int) -> None:
    bands = parts[0].shape[1] if parts[0].ndim == 3 else 0
    for number, part in enumerate(parts):
        if part.ndim != 3 or part.shape[0] != 2 or part.shape[1] != bands:
            wanted = "[2, n_mels, frames]" if number == 0 else f"(2, {bands}, frames) like the first"
            raise InvalidValue(f"segment {number} has shape {part.shape}; it must be {wanted}")
        if part.dtype.kind != "f":
            raise InvalidValue(f"segment {number} is of type {part.dtype}; it must be floating point")
        if len(parts) > 1 and part.shape[2] < overlap * (1 if number in (0, len(parts) - 1) else 2):
            raise InvalidValue(
                f"segment {number} has {part.shape[2]} frames, too few for an overlap of {overlap} frames"
                + ("" if number in (0, len(parts) - 1) else " on both sides")
            )
        if not np.isfinite(part.astype(np.float64)).all():
            raise NumericError(f"segment {number} holds NaN or infinite numbers")
