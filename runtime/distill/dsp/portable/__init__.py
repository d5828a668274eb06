"""Synthesis against the Python array API standard: plain, for arrays of any library, and what runs on a GPU.

    xp      the library's namespace: cupy on a GPU; numpy and others in the tests
    tables  what follows from a spec, in the memory of xp's arrays

It does what `distill.dsp` does in numpy, step by step, in other words: no output arguments, no views on memory, no
ragged lists, no loop over frames. What numpy does seed by seed is done for every band of a rectangle [frames, n_mels],
and what it does frame after frame is a scan in log2(frames) steps (`scan`). The two agree up to rounding, which the
tests hold them to, so either is the other's reference. (https://data-apis.org/array-api, revision 2024.12.)
"""

from .synthesis import Synthesizer, sound, synthesize

__all__ = ["Synthesizer", "sound", "synthesize"]
