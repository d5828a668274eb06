"""Crossfades of spectrogram segments."""

from __future__ import annotations

import numpy as np
import pytest

from distill.dsp import overlap_add
from distill.errors import InvalidValue, NumericError


def segment(frames: int, level: float = -20.0, deviation: float = 0.0, bands: int = 5) -> np.ndarray:
    return np.stack([np.full((bands, frames), level), np.full((bands, frames), deviation)]).astype(np.float32)


@pytest.mark.parametrize("overlap", [0, 1, 2, 7, 8])
def test_shape_and_that_the_weights_add_up_to_one(overlap: int) -> None:
    result = overlap_add([segment(20), segment(16), segment(30)], overlap)
    assert result.dtype == np.float32 and result.shape == (1, 2, 5, 66 - 2 * overlap)
    np.testing.assert_allclose(result[0, 0], -20, atol=1e-5)
    assert not result[0, 1].any()


def test_pieces_of_one_spectrogram_join_to_it() -> None:
    random = np.random.default_rng(0)
    whole = random.uniform(-140, 0, size=(2, 5, 50)).astype(np.float32)
    whole[1] = random.uniform(-1.5, 1.5, size=(5, 50))
    pieces = [whole[:, :, :20], whole[:, :, 14:34], whole[:, :, 28:]]
    np.testing.assert_allclose(overlap_add(pieces, 6)[0], whole, atol=1e-4)
    np.testing.assert_array_equal(overlap_add([whole], 6)[0], whole)


def test_levels_mix_as_power_and_the_louder_frequency_wins() -> None:
    result = overlap_add([segment(9, -10, 1.0), segment(9, -140, -1.0)], 9)[0]
    middle = 4  # both weights are one half here
    assert result[0, 0, middle] == pytest.approx(-10 + 10 * np.log10(0.5), abs=1e-3)
    np.testing.assert_allclose(result[1], 1, atol=1e-6)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(9) + 0.5) / 9)
    np.testing.assert_allclose(10 ** (result[0, 0] / 10), 0.1 * (1 - rise), rtol=1e-3)
    equal = overlap_add([segment(9, -10, 1.0), segment(9, -10, -1.0)], 9)[0]
    np.testing.assert_allclose(equal[1, 0], 1 - 2 * rise, atol=1e-6)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidValue, match="empty"):
        overlap_add([], 2)
    for overlap in (-1, 1.5, True):
        with pytest.raises(InvalidValue, match="overlap_frames"):
            overlap_add([segment(9)], overlap)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=r"segment 1 has shape \(2, 4, 9\).*\(2, 5, frames\)"):
        overlap_add([segment(9), segment(9, bands=4)], 2)
    with pytest.raises(InvalidValue, match=r"segment 0 has shape \(5, 9\)"):
        overlap_add([np.zeros((5, 9), np.float32)], 2)
    with pytest.raises(InvalidValue, match="segment 1 has 9 frames.*both sides"):
        overlap_add([segment(9), segment(9), segment(9)], 5)
    with pytest.raises(InvalidValue, match="segment 1 has 3 frames"):
        overlap_add([segment(9), segment(3)], 5)
    with pytest.raises(NumericError, match="segment 1"):
        overlap_add([segment(9), segment(9, np.nan)], 2)
