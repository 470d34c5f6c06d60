"""Page: how far a quantized model's answers drift from the original's."""
