"""What becomes of the input of a matrix product: of llama.cpp on a CPU, and of 8-bit methods.

ggml multiplies integers by integers: beside quantized weights the input, row by row, becomes 8-bit
codes with a scale for each block. With F16 and BF16 weights it becomes floats of that kind.

    weights                                   input
    F16, BF16                                 the same
    Q4_0, Q5_0, Q8_0, IQ4_NL, MXFP4, NVFP4    Q8_0: 32 codes, scale = max |x| / 127 as float16
    Q4_1, Q5_1                                Q8_1: Q8_0's codes, and their sum for the minimum
    K-quants, the other IQ types, ternary     Q8_K: 256 codes, scale = -x / 127 for the largest |x|

Source: vec_dot_type in ggml/src/ggml-cpu/ggml-cpu.c, quantize_row_q8_0 in ggml-cpu/arch/x86 (which
rounds halves to even where the reference rounds away), quantize_row_q8_K_ref in ggml-quants.c.

Methods that round weights and activations have kinds of their own, a scale for each token (row):

    INT8_TOKEN      SmoothQuant's: scale = max |x| / 127, halves to even
    INT8_OUTLIERS   LLM.int8's: entries of 6 and more stay, as float16; the others' scale is theirs

bitsandbytes keeps a column for all tokens of a batch if one of them has an outlier there; here
every token is by itself, as it is there in a batch of one, so a text's length changes nothing.
Source: smoothquant/fake_quant.py; bitsandbytes/backends/default/ops.py, int8_vectorwise_quant.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import kernel
from quantcore.bits import half_bits, half_value
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.rounding import nearest_int

Floats = NDArray[np.float32]
OUTLIER = np.float32(6)  # LLM.int8's threshold
SMALLEST_PEAK = np.float32(1e-5)  # SmoothQuant's: so that a token of zeros has a scale


def input_type(weight_type: str) -> str:
    """Name what llama.cpp rounds the input to that meets weights of a ggml type.

    Raises
    ------
    ValueError
        For a format that llama.cpp does not know.

    Examples
    --------
    >>> input_type("Q4_K"), input_type("Q5_0"), input_type("F32")
    ('Q8_K', 'Q8_0', 'F32')
    """
    if weight_type not in GGML_TYPES:
        raise ValueError(
            f"llama.cpp has no {weight_type}, so nothing says how it would round activations."
        )
    if weight_type in ("F32", "F16", "BF16"):
        return weight_type
    # Q8_1 restores what Q8_0 does: its sum of codes only saves additions.
    return "Q8_0" if GGML_TYPES[weight_type].block_size < 256 else "Q8_K"


def rounded(rows: Floats, kind: str) -> Floats:
    """Input (n_rows, n_cols) as `kind` restores it: one of `input_type`'s, or of 8-bit methods."""
    if kind == "F32":
        return rows
    if kind in ("INT8_TOKEN", "INT8_OUTLIERS"):
        return _round_tokens(rows, OUTLIER if kind == "INT8_OUTLIERS" else np.float32(np.inf))
    if kind in ("F16", "BF16"):
        return FORMATS[kind].round_trip(rows)
    out = np.empty_like(rows)
    (_round_q8_0 if kind == "Q8_0" else _round_q8_k)(rows, out)
    return out


def _round_tokens(rows: Floats, outlier: np.float32) -> Floats:
    sizes = np.abs(rows)
    kept = sizes >= outlier
    sizes[kept] = 0
    peaks = np.maximum(sizes.max(axis=1, keepdims=True), SMALLEST_PEAK)
    out: Floats = np.rint(rows * (np.float32(127) / peaks))
    out *= peaks / np.float32(127)
    out[kept] = rows[kept].astype(np.float16)
    return out


@kernel
def _round_q8_0(rows, out):
    for r in range(rows.shape[0]):
        for start in range(0, rows.shape[1], 32):
            peak = np.float32(0)
            for i in range(start, start + 32):
                peak = max(peak, abs(rows[r, i]))
            half = half_bits(peak / np.float32(127))
            scale = half_value(half & 0xFF, half >> 8)
            inv_scale = np.float32(127) / peak if peak > np.float32(0) else np.float32(0)
            for i in range(start, start + 32):
                code = nearest_int(np.float32(rows[r, i] * inv_scale))
                out[r, i] = np.float32(code) * scale


@kernel
def _round_q8_k(rows, out):
    for r in range(rows.shape[0]):
        for start in range(0, rows.shape[1], 256):
            largest = np.float32(0)  # with its sign: it gets code -127
            for i in range(start, start + 256):
                if abs(rows[r, i]) > abs(largest):
                    largest = rows[r, i]
            if largest == np.float32(0):
                out[r, start : start + 256] = np.float32(0)
                continue
            inv_scale = np.float32(-127) / largest
            scale = np.float32(1) / inv_scale
            for i in range(start, start + 256):
                code = nearest_int(np.float32(rows[r, i] * inv_scale))
                out[r, i] = np.float32(min(code, np.int32(127))) * scale
