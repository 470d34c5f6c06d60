"""Packed layouts decoded from their definitions, a weight at a time, in Python's integers."""

import numpy as np

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # AutoAWQ, packing_utils.py


def stream(words, n_codes, bits):
    """Read codes of some bits from words of 32, as one long number with the first word lowest."""
    number = sum((int(word) & 0xFFFFFFFF) << (32 * i) for i, word in enumerate(words))
    return [(number >> (bits * i)) & (2**bits - 1) for i in range(n_codes)]


def gptq(arrays, bits, version):
    """Weights (n_rows, n_cols) of qweight, qzeros, scales and g_idx, by either version."""
    group = arrays["g_idx"]
    n_cols, n_rows = len(group), arrays["scales"].shape[1]
    zeros = np.array([stream(row, n_rows, bits) for row in arrays["qzeros"]])
    zeros = zeros + 1 if version == "gptq" else zeros
    weights = np.empty((n_rows, n_cols), np.float32)
    for r in range(n_rows):
        codes = stream(arrays["qweight"][:, r], n_cols, bits)
        for c in range(n_cols):
            scale = np.float32(arrays["scales"][group[c], r])
            weights[r, c] = scale * np.float32(codes[c] - zeros[group[c], r])
    return weights


def awq(arrays):
    """Weights (n_rows, n_cols) of qweight, qzeros and scales, in AutoAWQ's GEMM layout."""
    n_cols, n_rows = len(arrays["qweight"]), arrays["scales"].shape[1]
    length = n_cols // len(arrays["scales"])

    def code(words, r):
        return (int(words[r // 8]) >> (4 * AWQ_ORDER.index(r % 8))) & 15

    weights = np.empty((n_rows, n_cols), np.float32)
    for c in range(n_cols):
        scales, zeros = arrays["scales"][c // length], arrays["qzeros"][c // length]
        for r in range(n_rows):
            steps = code(arrays["qweight"][c], r) - code(zeros, r)
            weights[r, c] = np.float32(scales[r]) * np.float32(steps)
    return weights


def compressed_tensors(arrays, bits):
    """Weights of the four weight_* arrays of compressed-tensors; the zero points may be missing."""
    n_rows, n_cols = (int(n) for n in arrays["weight_shape"])
    scales = arrays["weight_scale"].astype(np.float32)
    length = n_cols // scales.shape[1]
    middle = 2 ** (bits - 1)  # is added to codes and to zero points before they are packed
    zeros = np.zeros(scales.shape, int)
    if "weight_zero_point" in arrays:
        for g, words in enumerate(arrays["weight_zero_point"].T):
            zeros[:, g] = np.array(stream(words, n_rows, bits)) - middle
    weights = np.empty((n_rows, n_cols), np.float32)
    for r in range(n_rows):
        codes = stream(arrays["weight_packed"][r], n_cols, bits)
        for c in range(n_cols):
            g = c // length
            weights[r, c] = scales[r, g] * np.float32(codes[c] - middle - zeros[r, g])
    return weights
