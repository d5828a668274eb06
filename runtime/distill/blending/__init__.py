"""Several models as one sound: as a morph of their spectrograms, through one latent space, or as a mix of audio."""

from .blended import MODES, Blend, BlendMode, blend
from .slot import ModelSlot
from .weights import Curve, Weights

__all__ = ["MODES", "Blend", "BlendMode", "Curve", "ModelSlot", "Weights", "blend"]
