"""IQ4_NL and IQ4_XS: sixteen values that are not evenly spaced, and a code for each weight.

ggml's other IQ formats have codebooks instead of codes, and live in `codebook`.
"""
