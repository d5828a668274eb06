"""Analysis and synthesis with nothing between: what the spectrogram itself keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .measure import Yardstick
from .recordings import Recording
from .results import Row
from .schemes import Ours, Scheme

Tell = Callable[[str], None]

SHAPES = ((256, 2048), (384, 2048), (512, 2048), (256, 1024), (384, 1024))  # bands and n_fft that are worth a choice


def measure_schemes(category: str, recordings: Sequence[Recording], schemes: Sequence[Scheme], pitch: bool,
                    tell: Tell, part: str = "round trip") -> list[Row]:
    """One row for each recording and scheme. Recording by recording, so that whatever else the machine does while
    costs are measured falls on all schemes alike."""
    for scheme in schemes:  # fills caches and tables
        scheme.synthesize(scheme.analyze(recordings[0].sound), len(recordings[0].sound))
    rows = []
    for number, recording in enumerate(recordings, 1):
        tell(f"{part}: {category} {number}/{len(recordings)}  {recording.path.name}")
        yardstick = Yardstick(recording, pitch)
        for scheme in schemes:
            spectrogram = scheme.analyze(recording.sound)
            start = time.process_time()
            sound = scheme.synthesize(spectrogram, len(recording.sound))
            cost = time.process_time() - start
            rows.append(Row(part=part, category=category, split="", system=scheme.name, file=recording.path.name,
                            numbers_per_second=scheme.numbers_per_second,
                            cpu_ms_per_second=1000 * cost / recording.seconds, values=yardstick.measure(sound)))
    return rows


def measure_shapes(category: str, recordings: Sequence[Recording], tell: Tell) -> list[Row]:
    """Our own with other numbers of bands and another window: the figures behind the defaults."""
    return measure_schemes(category, recordings, [_Shape(bands, n_fft) for bands, n_fft in SHAPES], False, tell,
                           "shapes")


class _Shape(Ours):
    def __init__(self, n_mels: int, n_fft: int) -> None:
        super().__init__("balanced", n_mels, n_fft)

    @property
    def name(self) -> str:
        return f"{self.spec.n_mels} bands, {self.spec.n_fft}/{self.spec.hop_length}"
