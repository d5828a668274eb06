"""Projections: small changes of what goes in stay small."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from distill.dsp.projection import Projection
from distill.spec import SpectrogramSpec

SPEC = SpectrogramSpec(n_fft=128, hop_length=32, n_mels=16)


def projected(offset: float) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Frames whose bin 0 alternates, so that nearly nothing of it is left in a real sound, and `offset` added."""
    alternating = np.where(np.arange(24) % 2, -1.0, 1.0)
    spectrum = np.zeros((24, SPEC.n_bins), np.complex64)
    spectrum[:, 0] = alternating + offset
    return Projection(SPEC)(spectrum, np.ones((24, SPEC.n_bins), np.float32), end=True)


@pytest.mark.parametrize("offset", [1e-7, 1e-6, 1e-5])
def test_what_vanishes_in_a_projection_does_not_hang_on_the_last_bit(offset: float) -> None:
    more, magnitude = projected(offset)
    less, _ = projected(-offset)
    assert (magnitude == 1).all() and np.abs(more[8:16, 0]).max() < 1  # far from the ends
    assert np.abs(more - less)[8:16].max() < 1000 * offset
