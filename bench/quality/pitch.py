"""Is the pitch the same? By torchcrepe, whose weights come inside its wheel: nothing is fetched at run time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from distill.errors import MissingExtra

Floats = NDArray[np.float32]

_RATE, _HOP = 16_000, 320  # Hz and samples: what the network was trained for, 50 times a second
_LOWEST, _HIGHEST = 50.0, 1200.0  # Hz
_VOICED = 0.5  # periodicity above which a frame counts as voiced
_CENTS = 50.0
_FEWEST = 10  # voiced frames of a reference, under which its pitch is nobody's business


class Track(NamedTuple):
    """One number a frame, each 20 ms."""

    frequency: Floats  # Hz
    periodicity: Floats  # 0..1


class PitchError(NamedTuple):
    """within_50_cents: share of the frames voiced in both; NaN where the reference is hardly voiced."""

    within_50_cents: float
    voicing_agreement: float  # share of frames that are voiced in both or in neither


def track(sound: Floats, sample_rate: int) -> Track:
    """The pitch of mono `sound` by torchcrepe's tiny network. Raises MissingExtra where there is no torchcrepe."""
    import torch

    try:
        import torchcrepe
    except ImportError:
        raise MissingExtra("torchcrepe", "bench") from None
    samples = soxr.resample(np.asarray(sound, np.float32), sample_rate, _RATE).astype(np.float32)
    with torch.inference_mode():
        frequency, periodicity = torchcrepe.predict(
            torch.from_numpy(samples)[None], _RATE, hop_length=_HOP, fmin=_LOWEST, fmax=_HIGHEST, model="tiny",
            return_periodicity=True, decoder=torchcrepe.decode.weighted_argmax, batch_size=256,
        )
    return Track(frequency[0].numpy(), periodicity[0].numpy())


def compare(reference: Track, sound: Track) -> PitchError:
    """How well `sound` keeps the pitch of `reference`."""
    count = min(len(reference.frequency), len(sound.frequency))
    voiced, heard = (t.periodicity[:count] > _VOICED for t in (reference, sound))
    both = voiced & heard
    cents = np.abs(1200 * np.log2(sound.frequency[:count][both] / reference.frequency[:count][both]))
    if voiced.sum() < _FEWEST:
        share = float("nan")
    else:
        share = float((cents < _CENTS).mean()) if both.any() else 0.0
    return PitchError(share, float((voiced == heard).mean()))
