"""Codebooks of eight dimensions, points of the lattice E8: QuIP#'s E8P and what refines it."""
