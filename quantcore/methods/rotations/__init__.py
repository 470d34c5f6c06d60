"""Hadamard transforms: weights turned so that none stands out."""
