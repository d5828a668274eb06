"""The stream of phase and ISTFT, by the frames pushed at a time, and what foresight saves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import distill
from distill import dsp
from distill.model import Model

from .common import ROUNDS, Array, goal, medians, some_latents

# ms a second of sound: wanted of 1 frame at a time, half of what the first trial of this scheme takes; and what 64 at a
# time take. Measured in turns on one machine: elsewhere only their ratio says anything.
_PUSHES = {"fast": (9.7, 2.9), "balanced": (22.2, 6.0)}


def small_pushes(model: Model, goals: list[str]) -> str:
    """By the frames pushed at a time. Wanted is what was wanted of one frame, in multiples of the cost at 64."""
    spec, frames, sizes = model.spec, 512, (1, 2, 8, 16, 64)
    spectrogram = model.decode(some_latents(model, 12.0))[:, :, :frames]

    def pushed(quality: str, size: int) -> Array:
        synthesizer = distill.Synthesizer(spec, quality)
        parts = [synthesizer.push(spectrogram[:, :, start:start + size]) for start in range(0, frames, size)]
        return np.concatenate([*parts, synthesizer.flush()])

    def foreseen(quality: str, size: int, surprises: int = 0) -> Array:
        """surprises: how often, in all, what comes is not what was foreseen."""
        synthesizer = dsp.ForesightedSynthesizer(distill.Synthesizer(spec, quality))
        every, parts = frames // surprises if surprises else frames + 1, []
        for start in range(0, frames, size):
            stop = start + size

            def ahead(most: int, stop: int = stop) -> Array:
                guess = spectrogram[:, :, stop:stop + most].copy()
                guess[0, :, max(0, -stop % every):] += 1  # the next surprise, and whatever comes after it
                return guess if surprises else spectrogram[:, :, stop:stop + most]

            parts.append(synthesizer.push(spectrogram[:, :, start:stop], ahead))
        return np.concatenate([*parts, synthesizer.flush()])

    seconds = frames / spec.frame_rate_hz
    ways: dict[str, Callable[[str, int], Array]] = {
        "": pushed, ", foreseen": foreseen,
        ", five surprises a second": partial(foreseen, surprises=round(5 * seconds))}
    reference = {quality: pushed(quality, frames) for quality in _PUSHES}
    for quality in _PUSHES:
        if not all(np.array_equal(way(quality, size), reference[quality]) for way in ways.values() for size in (1, 8)):
            raise SystemExit(f"pushes of different sizes give different samples at {quality}")
    times = medians({(size, quality, name): partial(way, quality, size)
                     for size in sizes for quality in _PUSHES for name, way in ways.items()}, ROUNDS)
    for name in ("", ", foreseen"):
        for quality, (one, many) in _PUSHES.items():
            goals.append(goal(f"one frame pushed at a time{name}, `{quality}`, against 64",
                               times[1, quality, name] / times[64, quality, ""], round(one / many, 1),
                               "times the cost"))
    lines = ["## Small pushes\n", "Phase and ISTFT alone, ms a second of sound, by the frames pushed at a time. The "
             "samples are the same.\n",
             "| frames | " + " | ".join(quality + name for name in ways for quality in _PUSHES) + " |",
             "|---" * (1 + len(ways) * len(_PUSHES)) + "|"]
    for size in sizes:
        costs = (times[size, quality, name] / seconds * 1e3 for name in ways for quality in _PUSHES)
        lines.append(f"| {size} | " + " | ".join(f"{cost:.1f}" for cost in costs) + " |")
    lines.append("""
A push has its price however few its frames are, so where the next frames are known unless somebody turns a knob, as
always in live control, sound is made ahead of them (*foreseen*), and made again where they change (*surprises*).
""")
    return "\n".join(lines)
