"""Real transforms of rows in float32: numpy's, without what `np.fft` does around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import heap  # noqa: F401  for the arrays that numpy makes inside

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

# What `np.fft` calls once it has looked at what it was given, which takes half as long as to transform a frame. It is
# none of numpy's promises, so there is another way.
_own: Any = getattr(np.fft, "_pocketfft_umath", None)


def _rfft(rows: Floats, factor: float | np.float32, out: Spectrum) -> None:
    if _own is None:
        norm: Any = "backward" if factor == 1 else "forward"
        np.fft.rfft(rows, axis=1, norm=norm, out=out)  # type: ignore[arg-type]
    else:
        _own.rfft_n_even(rows, factor, out)


def rfft(rows: Floats, out: Spectrum) -> None:
    """Real transform of rows [m, n_fft] into `out` [m, n_fft / 2 + 1]."""
    _rfft(rows, 1, out)


def irfft(rows: Spectrum, out: Floats) -> None:
    """Its inverse: rows [m, n_fft / 2 + 1] into `out` [m, n_fft]."""
    if _own is None:
        np.fft.irfft(rows, out.shape[1], axis=1, out=out)  # type: ignore[arg-type]
    else:
        _own.irfft(rows, np.float32(1 / out.shape[1]), out)


def quick_rfft(rows: Floats, out: Spectrum) -> None:
    """`rfft` divided by n_fft, computed in single precision: half the time, and an error of 1e-7 of the largest bin.

    The type of the factor decides: the whole number 1 of `rfft` makes numpy compute in double precision, one of the
    rows' own type does not.
    """
    _rfft(rows, np.float32(1 / rows.shape[1]), out)
