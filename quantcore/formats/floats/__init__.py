"""Floats as they are or shortened, and ggml's four-bit floats with a scale a block."""
