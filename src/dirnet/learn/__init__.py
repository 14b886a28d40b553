"""How the numbers get better: data, the stages, one loop."""
