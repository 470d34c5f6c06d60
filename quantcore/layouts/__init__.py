"""Quantized matrices in safetensors: one file a layout, with what is read of it and written."""
