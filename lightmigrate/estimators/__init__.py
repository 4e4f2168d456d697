"""How projections are found: closed-form fits from pairs of vectors. NumPy only."""
