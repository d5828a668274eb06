"""Ways to turn a sound into a spectrogram and back, behind one face."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distill import dsp
from distill.spec import SpectrogramSpec

from .recordings import SAMPLE_RATE

Floats = NDArray[np.float32]


class Scheme(Protocol):
    """`analyze` gives whatever `synthesize` wants; numbers_per_second is how much that is."""

    @property
    def name(self) -> str: ...

    @property
    def numbers_per_second(self) -> float: ...

    def analyze(self, sound: Floats) -> Any: ...

    def synthesize(self, spectrogram: Any, length: int) -> Floats:
        """`length` samples."""
        ...


class Ours:
    """`distill.analyze` and `distill.synthesize`."""

    def __init__(self, quality: str, n_mels: int | None = None, n_fft: int = 2048,
                 spec: SpectrogramSpec | None = None) -> None:
        chosen = {} if n_mels is None else {"n_mels": n_mels}
        self.spec = spec or SpectrogramSpec(sample_rate=SAMPLE_RATE, n_fft=n_fft, hop_length=n_fft // 4, **chosen)
        self.quality = quality

    @property
    def name(self) -> str:
        return f"distill {self.quality}, {self.spec.n_mels} bands"

    @property
    def numbers_per_second(self) -> float:
        return 2 * self.spec.n_mels * self.spec.frame_rate_hz

    def analyze(self, sound: Floats) -> Floats:
        return dsp.analyze(sound, self.spec)

    def synthesize(self, spectrogram: Floats, length: int) -> Floats:
        return dsp.synthesize(spectrogram, self.spec, self.quality, length)


def references() -> list[Scheme]:
    """What our own is compared with, in the order of the tables. Needs torch and torchaudio."""
    from .linear import LinearStft
    from .magnitude_only import MagnitudeOnly
    from .public_scheme import PublicScheme

    bands = SpectrogramSpec().n_mels
    return [LinearStft(), PublicScheme(128), PublicScheme(128, mended=True), PublicScheme(bands, mended=True),
            MagnitudeOnly(128), MagnitudeOnly(bands)]


def ours() -> list[Ours]:
    """Our own with the default spec at each quality, and with as many bands as the public scheme."""
    return [*(Ours(quality) for quality in ("fast", "balanced", "high")), Ours("balanced", n_mels=128)]
