"""From a training run to a bundle that plays without PyTorch, with the proof that it sounds the same."""
