"""How the numbers get better: data, the three stages, one loop."""
