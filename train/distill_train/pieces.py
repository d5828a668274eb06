"""Long recordings in pieces, so that a crop of an hour's pitch copy does not wait for the whole hour.

Only copies are cut; the original pitch of a recording is always one spectrogram. A piece is analysed with some sound
to either side of it, whose frames are then dropped: a cut must not sound like an attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from distill.spec import SpectrogramSpec

from .audio import ORIGINAL, PITCH_RATIOS, repitched_length, resampled_length
from .corpus import Recording

SECONDS = 10.0  # a piece is about this long


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples start..stop of a recording, at its own rate, at one pitch. `index` counts from 0."""

    recording: Recording
    pitch: str
    index: int
    start: int
    stop: int

    def span(self, spec: SpectrogramSpec) -> tuple[int, int]:
        """Samples to read: the piece and its surroundings, as far as the recording goes."""
        context = 2 * spec.n_fft * self.recording.sample_rate // spec.sample_rate + 1
        return max(0, self.start - context), min(self.recording.samples, self.stop + context)

    def kept_frames(self, spec: SpectrogramSpec, min_samples: int) -> tuple[int, int]:
        """Of the span's spectrogram: the first frame of the piece, and the one after its last.

        A whole recording of fewer than `min_samples` samples (at the spec's rate) counts as padded to them.
        """
        low, high = self.span(spec)
        recording, ratio = self.recording, PITCH_RATIOS[self.pitch]
        samples = repitched_length(resampled_length(high - low, recording.sample_rate, spec.sample_rate), ratio)
        total = spec.frames(max(samples, min_samples))
        frames_per_sample = Fraction(spec.sample_rate, recording.sample_rate) / ratio / spec.hop_length
        return -(-(self.start - low) * frames_per_sample // 1), total - -(-(high - self.stop) * frames_per_sample // 1)


def pieces(recording: Recording, pitch: str) -> list[Piece]:
    """The recording at a pitch, in equal pieces of about SECONDS if it is long and not at its own pitch."""
    count = 1 if pitch == ORIGINAL else max(1, round(recording.seconds / SECONDS))
    edges = [recording.samples * index // count for index in range(count + 1)]
    return [Piece(recording, pitch, index, edges[index], edges[index + 1]) for index in range(count)]
