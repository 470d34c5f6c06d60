"""IQ4_NL as llama.cpp writes it while a model runs, into its cache: no scale is searched.

The weight of largest magnitude gets the value -127, every other the nearest, and the scale is the
one that fits those values best, by squared weights. The values are not chosen again afterwards.

Source: ggml/src/ggml-quants.c, quantize_row_iq4_nl_ref (`ntry` = -1).
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.bits import half_bits, half_value
from quantcore.formats.iq4.search import SIZE, TINY, VALUES, ZERO, nearest_value


@kernel
def round_plainly(rows, out):
    """Fill `out` (n_rows, n_cols) with what IQ4_NL restores of float32 rows of that shape."""
    values = np.empty(SIZE, np.float32)
    for r in range(rows.shape[0]):
        for start in range(0, rows.shape[1], SIZE):
            peak = ZERO  # with its sign
            for i in range(start, start + SIZE):
                if abs(rows[r, i]) > abs(peak):
                    peak = rows[r, i]
            if abs(peak) < TINY:
                out[r, start : start + SIZE] = ZERO
                continue
            inv_scale = np.float32(1) / (peak / VALUES[0])
            sum_qx = sum_qq = ZERO
            for i in range(SIZE):
                x = rows[r, start + i]
                values[i] = nearest_value(inv_scale * x)
                weighted = (x * x) * values[i]
                sum_qx += weighted * x
                sum_qq += weighted * values[i]
            half = half_bits(sum_qx / sum_qq)
            scale = half_value(half & 0xFF, half >> 8)
            for i in range(SIZE):
                out[r, start + i] = scale * values[i]
