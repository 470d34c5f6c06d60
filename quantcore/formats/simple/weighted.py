"""Formats of 32 weights a block with an importance matrix, searched as the K-quants are."""

import numpy as np

from quantcore._jit import pasted
from quantcore.formats.shared import affine as k_affine
from quantcore.formats.shared import symmetric as k_symmetric
from quantcore.formats.shared import weighted
from quantcore.formats.shared.lanes import CODE, LANES, MINIMUM, SCALE, new_board
from quantcore.formats.simple.blocks import BLOCK_SIZE
from quantcore.formats.simple.codes import store_half_at


@pasted
def encode_symmetric(blocks, importance, packed, n, store_codes):
    """Encode blocks of codes from -n to n - 1: a scale in two bytes, then the codes."""
    board, means = new_board(), np.zeros(LANES, np.float32)
    codes = np.empty(BLOCK_SIZE, np.int32)
    for start in range(0, blocks.shape[0], LANES):
        stop = min(start + LANES, blocks.shape[0])
        bad = weighted.load_weighted_blocks(blocks, start, stop, importance, means, board)
        if bad >= 0:
            return bad
        k_symmetric.find_scale(board, BLOCK_SIZE, n)
        for k in range(stop - start):
            store_half_at(board[SCALE, k], packed, start + k, 0)
            for i in range(BLOCK_SIZE):
                codes[i] = np.int32(board[CODE + i, k]) + np.int32(n)
            store_codes(codes, packed, start + k, 2)
    return -1


@pasted
def encode_affine(blocks, importance, packed, highest, store_codes):
    """Encode blocks of codes from 0 to `highest`: scale, minimum, then the codes."""
    board, means = new_board(), np.zeros(LANES, np.float32)
    codes = np.empty(BLOCK_SIZE, np.int32)
    for start in range(0, blocks.shape[0], LANES):
        stop = min(start + LANES, blocks.shape[0])
        bad = weighted.load_weighted_blocks(blocks, start, stop, importance, means, board)
        if bad >= 0:
            return bad
        k_affine.find_scale_and_offset(
            board, BLOCK_SIZE, highest, weighted.FIRST, weighted.STEP, weighted.N_STEPS, False
        )
        for k in range(stop - start):
            store_half_at(board[SCALE, k], packed, start + k, 0)
            store_half_at(-board[MINIMUM, k], packed, start + k, 2)
            for i in range(BLOCK_SIZE):
                codes[i] = np.int32(board[CODE + i, k])
            store_codes(codes, packed, start + k, 4)
    return -1
