"""What the refined representation is for."""
