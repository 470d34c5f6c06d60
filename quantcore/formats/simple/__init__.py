"""ggml's first formats: blocks of 32 weights with one scale."""
