"""Numbers that can be trusted: metrics, records, the measuring itself."""
