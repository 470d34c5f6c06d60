"""Floats, each a number of its own (F32, F16, BF16), or of four bits under a scale (MXFP4, NVFP4).

MXFP4 and NVFP4 are here as ggml has them; `outside_gguf` has those of other tools, of the same
four-bit floats.
"""
