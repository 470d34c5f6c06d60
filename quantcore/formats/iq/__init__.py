"""ggml's IQ formats: uneven grids and codebooks."""
