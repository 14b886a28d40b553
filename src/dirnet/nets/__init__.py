"""The networks: baseline encoder, reference, alignment, critic. Know tensors only."""
