"""Estimators that fit a projection to pairs of vectors in closed form, with NumPy or torch."""
