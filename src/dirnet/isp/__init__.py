"""The camera: pure functions on tensors, per-sample parameters, differentiable. Knows no files."""
