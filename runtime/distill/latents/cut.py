"""Where mode `crossfade` cuts latents into segments."""

from __future__ import annotations

from msgspec import Struct

from distill.errors import InvalidValue
from distill.knobs import Knobs


class Cut(Struct, frozen=True):
    """Lengths of crossfaded segments, in latent frames: of a segment, and of its overlap with the next."""

    length: int
    overlap: int

    @classmethod
    def of(cls, knobs: Knobs, rate_hz: float) -> Cut:
        """Raises InvalidValue where the knobs mean less than a latent frame."""
        length, overlap = (round(knobs.chosen(name) * rate_hz) for name in ("segment", "overlap"))
        if overlap < 1:
            raise InvalidValue(f"overlap is {knobs.chosen('overlap'):g} s; it must be at least {1 / rate_hz:.3f} s, "
                               "one latent frame of this model")
        return cls(max(length, 2 * overlap), overlap)

    @property
    def stride(self) -> int:
        """From the start of a segment to that of the next."""
        return self.length - self.overlap

    def latents(self, heard: int) -> int:
        """Latent frames of all segments that are needed for so many frames of their crossfade."""
        if heard <= self.length:
            return heard
        more = -(-(heard - self.length) // self.stride)  # segments after the first
        return heard + more * self.overlap
