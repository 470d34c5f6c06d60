"""The page Try: prompts of one's own, answered by the original and by quantized versions."""
