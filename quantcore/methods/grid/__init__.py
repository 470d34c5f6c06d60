"""Grids that weights lie on already."""
