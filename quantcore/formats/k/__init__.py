"""Q2_K to Q6_K: super-blocks of 256 weights whose scales are quantized too.

Their searches are in `shared`: the simple and the IQ formats use them as well.
"""
