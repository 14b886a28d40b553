"""What to want from a representation. Pure functions of tensors."""
