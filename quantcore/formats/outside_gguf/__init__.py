"""Formats that no GGUF holds: FP8, NF4, NVFP4 with a tensor scale, MXFP4 by the OCP.

They keep scales in arrays of their own, as safetensors files do, instead of in blocks: that is what
they have in common, whatever their codes stand for.
"""
