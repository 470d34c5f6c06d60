"""ggml's K formats: super-blocks of 256 weights whose scales are quantized too."""
