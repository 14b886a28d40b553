"""Which spoilings, how strong, with what seed. Data, not code paths."""
