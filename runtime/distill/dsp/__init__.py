"""Sound to two-channel spectrogram and back. numpy only."""

from .analysis import analyze
from .overlap import overlap_add
from .stft import istft, stft
from .synthesis import Synthesizer, synthesize

__all__ = ["Synthesizer", "analyze", "istft", "overlap_add", "stft", "synthesize"]
