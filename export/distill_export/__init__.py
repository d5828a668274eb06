"""From a training run to a bundle that plays without PyTorch, with the proof that it sounds the same."""

import distill  # noqa: F401  before anything here imports onnxruntime, whose telemetry it turns off
