"""Sentences of the page Sensitivity: numbers in, text out; a module for each section."""

PURPOSE = (
    "What each tensor costs the whole model when only that tensor is quantized, and which "
    "cheaper guide foretells it."
)
DEFINED = (
    "token, tensor, embedding, quantization, scale, block, format, mix, bits per weight, "
    "importance matrix, divergence, nat, perplexity, Fisher, rank correlation"
).split(", ")
