"""Prompts of one's own, answered by the original and by quantized versions of a model."""
