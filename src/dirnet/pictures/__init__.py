"""Photographs in and out. Knows files, not learning."""
