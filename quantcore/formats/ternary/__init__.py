"""ggml's ternary formats: −1, 0 and 1 with a scale."""
