"""What a person looks at: one self-contained page, its curves and its pictures."""
