"""Decode latents with OpenVINO: python openvino_decode.py GRAPH LATENTS DIM FRAMES OUT (raw float32), one thread."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import openvino

graph, latents, dim, frames, out = sys.argv[1:]
core = openvino.Core()
# float32 throughout: by itself OpenVINO may choose bfloat16 where the processor has it
model = core.compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
x = np.fromfile(latents, "<f4").reshape(1, int(dim), int(frames))
times = []
for turn in range(16):
    started = time.process_time()
    result = model([x])[0]
    if turn:
        times.append((time.process_time() - started) * 1e3)
result.astype("<f4").tofile(out)
print(json.dumps({"ms": sorted(times)[7], "dims": list(result.shape)}))
