"""How long the analysis window should be, from the corpus.

A long window keeps partials apart and smears attacks; a short one does the opposite. Which of them suits a sound
shows in how many cells of the time-frequency plane its energy takes: the better a window fits, the fewer. As a count
of cells we take the participation ratio of the magnitudes,

    cells = (sum |X|)^2 / sum |X|^2,

which is the number of cells if all that sound are equally loud, and which grows with every faint partial or tail
(it is exp of the Renyi entropy of order 1/2; as a criterion for windows: Jaillet and Torresani, 2007). Transforms of
two windows with the same overlap have the same number of cells in all.

Sustained partials take twice as many cells in half the window, at worst; strokes take hardly more, or fewer. So does
steady noise, which a short window gives nothing and a network twice as many numbers to learn. What tells strokes from
it is the same ratio over time alone: in what share of an excerpt's frames its sound is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distill.dsp import stft
from distill.spec import SpectrogramSpec

from .audio import resample
from .corpus import Recording
from .reader import read_mono

WORTH = 1.3  # halving the window may cost this many times as many cells
STEADY = 0.6  # what sounds in more than this share of its frames has no attacks to speak of
EXCERPTS = 24  # looked at, of the whole corpus
_SEARCHED_SECONDS = 4.0  # around each place, for its loudest sample
_BEFORE_SECONDS, _EXCERPT_SECONDS = 0.2, 1.5
_FADE_SECONDS = 0.05  # where an excerpt is cut; where a recording begins or ends, it does so
_AUDIBLE = 1e-3  # of the loudest: quieter cells and quieter excerpts say nothing
_HOPS = 4  # in a window


Kind = Literal["strokes", "partials", "steady sounds"]


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """The window chosen, and why."""

    growth: float  # cells of half the default window / cells of the default window
    sounding: float  # share of the frames that sound

    @property
    def n_fft(self) -> int:
        """Samples."""
        default = SpectrogramSpec().n_fft
        return default // 2 if self.growth < WORTH and self.sounding < STEADY else default

    @property
    def what(self) -> Kind:
        """The kind of sound that it is for."""
        if self.n_fft < SpectrogramSpec().n_fft:
            return "strokes"
        return "partials" if self.growth >= WORTH else "steady sounds"

    def __str__(self) -> str:
        default = SpectrogramSpec().n_fft
        return (
            f"window: {self.n_fft} samples, for {self.what}: {default // 2} instead of {default} would take "
            f"{self.growth:.2f} times as many cells, and {self.sounding:.0%} of the time sounds (the shorter window is "
            f"for strokes: under {WORTH:.2f} times, under {STEADY:.0%})"
        )


def choose_window(recordings: Sequence[Recording], sample_rate: int) -> WindowChoice:
    """The default window, or half of it for a corpus of strokes.

    `sample_rate` is the model's. Raises FileError if a recording cannot be read any more.
    """
    long = SpectrogramSpec().n_fft
    excerpts = _excerpts(recordings, sample_rate)
    audible = max(float(np.abs(excerpt).max()) for excerpt in excerpts) * _AUDIBLE
    heard = [excerpt for excerpt in excerpts if np.abs(excerpt).max() >= audible]
    growths, shares = [], []
    for excerpt in heard:
        short = _magnitude(excerpt, long // 2)
        growths.append(_participation(short) / _participation(_magnitude(excerpt, long)))
        shares.append(_participation(np.sqrt(np.square(short).sum(0))) / short.shape[1])
    return WindowChoice(float(np.exp(np.mean(np.log(growths)))), float(np.median(shares)))


def _excerpts(recordings: Sequence[Recording], sample_rate: int) -> list[NDArray[np.float32]]:
    """Up to EXCERPTS stretches [samples], each about a loud moment; as many of each recording, or of some of them."""
    some = recordings[:: -(-len(recordings) // EXCERPTS)]
    return [
        resample(excerpt, recording.sample_rate, sample_rate)
        for recording in some for excerpt in _loud_moments(recording, EXCERPTS // len(some))
    ]


def _loud_moments(recording: Recording, count: int) -> list[NDArray[np.float32]]:
    """Stretches at the recording's own rate: about its loudest sample, and about the loudest near places spread evenly.

    `count` at most. The first keeps a long recording with little in it from being all silence.
    """
    rate, searched = recording.sample_rate, round(_SEARCHED_SECONDS * recording.sample_rate)
    latest = max(0, recording.samples - searched)
    places = {latest * (2 * index + 1) // (2 * count) for index in range(1, count)}
    places.add(min(latest, max(0, recording.peak_sample - searched // 2)))
    fade = np.linspace(0, 1, round(_FADE_SECONDS * rate), dtype=np.float32)
    found = []
    for start in sorted(places):
        samples, _ = read_mono(recording.path, start, start + searched)
        first = max(0, int(np.argmax(np.abs(samples))) - round(_BEFORE_SECONDS * rate))
        excerpt = samples[first : first + round(_EXCERPT_SECONDS * rate)].copy()
        if start + first > 0 and len(excerpt) > len(fade):
            excerpt[: len(fade)] *= fade
        if start + first + len(excerpt) < recording.samples and len(excerpt) > len(fade):
            excerpt[-len(fade) :] *= fade[::-1]
        found.append(excerpt)
    return found


def _magnitude(samples: NDArray[np.float32], n_fft: int) -> NDArray[np.float64]:
    """[n_bins, frames], what is inaudible beside the loudest taken out."""
    spec = SpectrogramSpec(n_fft=n_fft, hop_length=n_fft // _HOPS, n_mels=16)
    magnitude = np.abs(stft(np.pad(samples, n_fft), spec)).astype(np.float64)
    magnitude[magnitude < magnitude.max() * _AUDIBLE] = 0
    return magnitude


def _participation(magnitude: NDArray[np.float64]) -> float:
    """How many of the numbers count: as many as there are if all are alike, 1 if one stands out."""
    return float(magnitude.sum() ** 2 / np.square(magnitude).sum())
