"""The way that all K-quants are encoded: search, store the scales, choose the codes again, pack.

A kernel is compiled once without importance (None) and once with it; what the other one does
is left out then.
"""

from typing import NamedTuple

import numpy as np

from quantcore._jit import pasted
from quantcore.formats.shared.lanes import LANES, SUPER_BLOCK, load, new_board, requantize, unload


class Codes(NamedTuple):
    """What the codes of a format are; constants to its kernels."""

    size: int  # weights of a sub-block
    lowest: int
    highest: int


@pasted
def encode(blocks, importance, packed, kind, search, store_scales, pack_codes):
    """Encode super-blocks with such codes; index of the first bad one, or -1.

    Parameters
    ----------
    importance
        (blocks a row, 256), or None.
    search
        ``(batch, importance, first, board)`` fills the rows `SCALE`, `MINIMUM` and `CODE`; `first`
        is the number of the batch's first block.
    store_scales
        ``(board, lane, importance, codes, packed)`` writes the scales of the block whose first
        sub-block has this lane, and puts what they decode to in their place. `codes` has room for
        256 numbers.
    pack_codes
        ``(codes, packed)`` lays 256 codes, counted from 0.
    """
    size, lowest, highest = kind
    board, codes = new_board(), np.empty(SUPER_BLOCK, np.int32)
    per_block = SUPER_BLOCK // size
    n_batch = LANES // per_block
    for start in range(0, blocks.shape[0], n_batch):
        batch = blocks[start : start + n_batch]
        bad = load(batch, size, board)
        if bad >= 0:
            return start + bad
        search(batch, importance, start, board)
        for b in range(batch.shape[0]):
            store_scales(board, per_block * b, importance, codes, packed[start + b])
        requantize(board, size, lowest, highest)
        for b in range(batch.shape[0]):
            unload(board, per_block * b, size, lowest, codes)
            pack_codes(codes, packed[start + b])
    return -1
