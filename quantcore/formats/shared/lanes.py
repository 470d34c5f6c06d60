"""Many sub-blocks at once: the board on which the searches of this folder work.

Each sub-block has a lane, a column of a board of float32 rows:

                    lane 0            lane 1            ...  lane 63
    row 0           its first weight  its first weight
    row 1           its second        its second
    ...
    row SCALE       its scale         its scale
    row MINIMUM     its minimum       its minimum            restored = scale * code - minimum

The inner loop of a search runs over the lanes, so the compiler turns it into vector instructions,
while within a lane every operation keeps ggml's order, and with it ggml's bytes. A branch becomes a
choice between two values. All rows live in one array of a size known when compiling: only then can
the compiler see that rows do not overlap, and keep running sums in registers.
"""

import numpy as np

from quantcore._jit import inlined, pasted
from quantcore.formats.shared.magnitudes import holds_nan_or_inf
from quantcore.rounding import nearest_int

SUPER_BLOCK = 256  # weights that share the float16 by which the sub-scales are multiplied
LANES = 64  # fewer leave vector units idle, more do not fit into the first-level cache

# Rows 0 to 31 hold the weights of a sub-block, 32 to 63 their importance, 64 to 95 their codes.
IMPORTANCE, CODE = 32, 64
SCALE, MINIMUM = 96, 97
TOTAL = 98  # of the importance, where a matrix gives it
FIRST_FREE = 99  # rows from here on belong to the search
N_ROWS = 113


@pasted
def new_board():
    """Rows of one float32 a lane. A lane left over holds zeros or an earlier batch: unused."""
    return np.zeros((N_ROWS, LANES), np.float32)


@inlined
def load(blocks, size, board):
    """Give each sub-block of `size` weights a lane; index of the first bad block, or -1."""
    per_block = SUPER_BLOCK // size
    for b in range(blocks.shape[0]):
        if holds_nan_or_inf(blocks[b]):
            return b
        for j in range(per_block):
            for i in range(size):
                board[i, per_block * b + j] = blocks[b, size * j + i]
    return -1


@inlined
def nearest_code(value, lowest, highest):
    """Return the nearest code from `lowest` to `highest`, as a float32."""
    code = nearest_int(value)
    code = np.int32(lowest) if code < lowest else code
    return np.float32(np.int32(highest) if code > highest else code)


@inlined
def requantize(board, size, lowest, highest):
    """Choose codes for scales and minima as stored; a scale of zero keeps the search's codes."""
    scale, minimum = board[SCALE], board[MINIMUM]
    for i in range(size):
        for k in range(LANES):
            code = nearest_code((board[i, k] + minimum[k]) / scale[k], lowest, highest)
            board[CODE + i, k] = code if scale[k] != np.float32(0) else board[CODE + i, k]


@inlined
def unload(board, lane, size, lowest, codes):
    """Fill the 256 codes, counted from 0, of the block whose first sub-block has this lane."""
    for j in range(SUPER_BLOCK // size):
        for i in range(size):
            codes[size * j + i] = np.int32(board[CODE + i, lane + j]) - lowest
