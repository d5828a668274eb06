"""Whoever imports this has the heap prepared for arrays that come and go.

The usual allocator of Linux gives what lies free at the heap's end back to the system, and gets it again page by page,
for every block and even for every row of a transform: up to half of the time. What it keeps is twice the largest block
that was ever freed; so one is. And numpy asks the system for large pages under large arrays, so the heap is led through
two of them: what comes to lie there takes a tenth of the page faults. Nothing is written to them, so they take no
memory until then. Import this before onnxruntime, which fills megabytes of it before any model is there.
"""

from __future__ import annotations

import numpy as np

_LARGE = 30 << 20  # bytes; from 32 MiB on an array lies outside the heap

np.empty(_LARGE + (1 << 20), np.uint8)
_large = [np.empty(_LARGE, np.uint8) for _ in range(2)]
del _large
