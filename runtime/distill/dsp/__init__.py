"""Sound to two-channel spectrogram and back. numpy only."""

from .analysis import analyze
from .foresight import ForesightedSynthesizer
from .overlap import overlap_add
from .stft import istft, stft
from .synthesis import Synthesizer, synthesize

__all__ = ["ForesightedSynthesizer", "Synthesizer", "analyze", "istft", "overlap_add", "stft", "synthesize"]
