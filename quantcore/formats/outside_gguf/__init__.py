"""Formats that no GGUF holds: FP8, NF4, NVFP4 with a tensor scale, MXFP4 by the OCP."""
