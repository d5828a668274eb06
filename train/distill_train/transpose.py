"""What patches of levels would be at another pitch, near enough for a covariance and with no sound to analyse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from distill.dsp.axis import axis
from distill.spec import SpectrogramSpec

from .audio import ORIGINAL, PITCH_RATIOS


def transposed(patches: Tensor, pitches: tuple[str, ...], spec: SpectrogramSpec) -> Tensor:
    """`patches` of levels [patches, frames, n_mels], and, where `pitches` has copies, as many again at those.

    The copies take turns with the patches.
    """
    ratios = [PITCH_RATIOS[pitch] for pitch in pitches if pitch != ORIGINAL]
    parts = [patches[i :: len(ratios)] @ _move(spec, ratio) for i, ratio in enumerate(ratios)]
    return torch.cat([patches, *parts])


def _move(spec: SpectrogramSpec, ratio: Fraction) -> Tensor:
    """[n_mels, n_mels]: levels @ it has in each band what stood at its frequency / ratio, between the nearest two."""
    centres = np.asarray(axis(spec).centres, np.float64)
    source = np.clip(centres / float(ratio), centres[0], centres[-1])
    lower = np.clip(np.searchsorted(centres, source, side="right") - 1, 0, len(centres) - 2)
    upper_share = (source - centres[lower]) / (centres[lower + 1] - centres[lower])
    matrix = np.zeros((len(centres), len(centres)), np.float32)
    matrix[lower, np.arange(len(centres))] = 1 - upper_share
    matrix[lower + 1, np.arange(len(centres))] += upper_share
    return torch.from_numpy(matrix)
