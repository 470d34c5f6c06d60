"""Weights that lie on a grid already, as after training for quantization: the grid is found.

    w = stored type's rounding of (step * code)        a step for each block, codes whole numbers

For each block, steps largest / 1, largest / 2, ... are tried until one fits (`grid_steps`); then
whether neighbouring blocks share theirs.

How unlikely a fit is by chance is counted in bits: a weight whose interval is narrow by a factor
of 2^-b says b of them. Ordinary weights do not fit, whatever they are stored in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.methods.grid.grid_steps import LARGEST_CODE, Blocks, Steps, Stored, stored_type

BLOCK_LENGTHS = (16, 32, 64, 128, 256)
FEWEST_BITS = 100.0  # of evidence: one in 2^100
SAMPLED = 64  # blocks that are looked at first
BLOCKS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundGrid:
    """The grid that the weights of a matrix lie on."""

    stored: Stored  # whose rounding the weights have had
    block_length: int  # weights that share a step; all of a row where it is as long
    whole_tensor: bool  # one step for all rows
    steps: Weights  # (n_rows, n_blocks); negative where a code of -2^b would else be 2^b
    codes: NDArray[np.int16]  # (n_rows, n_cols)
    evidence_bits: float  # a fit by chance has odds of one in two to the power of it

    @property
    def lowest(self) -> int:
        """Smallest code there is."""
        return int(self.codes.min())

    @property
    def highest(self) -> int:
        """Largest code there is."""
        return int(self.codes.max())

    @property
    def n_points(self) -> int:
        """Points of the grid from the lowest code to the highest."""
        return self.highest - self.lowest + 1

    @property
    def restored(self) -> Weights:
        """Points of the grid, float32 (n_rows, n_cols), before the stored type's rounding."""
        steps = np.repeat(self.steps, self.block_length, axis=1)
        points: Weights = steps * self.codes.astype(np.float32)
        return points


def find_grid(weights: Weights) -> FoundGrid | None:
    """Find the grid of weights (n_rows, n_cols), finite float32; None if they lie on none."""
    stored = stored_type(weights)
    n_cols = weights.shape[1]
    lengths = [n for n in (*BLOCK_LENGTHS, n_cols) if n_cols % n == 0 and n <= n_cols]
    shortest, *longer = dict.fromkeys([*lengths, weights.size])  # at last, the tensor as a whole
    found = _search(weights.reshape(-1, shortest), stored)
    if found is None or found.bits < FEWEST_BITS:
        return None
    length = shortest
    for longer_length in longer:
        joined = _join(weights.reshape(-1, longer_length), stored, found.steps)
        if joined is None:
            break
        found, length = joined, longer_length
    whole = length == weights.size
    block_length = n_cols if whole else length
    steps = np.broadcast_to(found.steps[:, None], (len(found.steps), 1))
    steps, codes = _turned(steps, _codes(weights.reshape(-1, length), steps))
    return FoundGrid(
        stored=stored,
        block_length=block_length,
        whole_tensor=whole,
        steps=np.broadcast_to(steps, (len(weights), 1))
        if whole
        else steps.reshape(len(weights), -1),
        codes=codes.reshape(weights.shape),
        evidence_bits=found.bits,
    )


def _codes(blocks: Weights, steps: Weights) -> NDArray[np.int16]:
    some = np.where(steps == 0, np.float32(1), steps)
    return np.rint(blocks / some).astype(np.int16)


def _turned(steps: Weights, codes: NDArray[np.int16]) -> tuple[Weights, NDArray[np.int16]]:
    """Turn blocks round whose largest code is a power of two and only positive: 8 becomes -8."""
    high, low = codes.max(axis=1), -codes.min(axis=1)
    turn = (high > low) & (high > 1) & (high & (high - 1) == 0)
    sign = np.where(turn, -1, 1)[:, None]
    return steps * sign.astype(np.float32), (codes * sign).astype(np.int16)


def _search(blocks: Weights, stored: Stored) -> Steps | None:
    """Find a step for each of the blocks (n, length); None if one has none."""
    if Blocks(blocks[:: max(1, len(blocks) // SAMPLED)], stored).search() is None:
        return None
    steps, bits = [], 0.0
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        part = Blocks(blocks[start : start + BLOCKS_AT_ONCE], stored).search()
        if part is None:
            return None
        steps.append(part.steps)
        bits += part.bits
    return Steps(np.concatenate(steps), bits)


def _join(blocks: Weights, stored: Stored, parts: Weights) -> Steps | None:
    """Find one step for each block, of which parts have steps already; None if they do not meet."""
    there = np.where(parts > 0, parts, np.inf).reshape(len(blocks), -1).min(axis=1)
    all_of_it = Blocks(blocks, stored)
    some = np.isfinite(there)
    wanted = np.where(some, all_of_it.largest / np.where(some, there, 1), 0)
    codes = np.rint(np.minimum(wanted, 2 * LARGEST_CODE))
    if (codes[some] < 1).any() or (codes > LARGEST_CODE).any():
        return None
    joined, total = np.zeros(len(blocks), np.float32), 0.0
    waiting = np.flatnonzero(some)
    for off in (0, -1, 1):  # a part's step may be off by its own width
        fits, steps, bits = all_of_it.fit(waiting, np.maximum(codes[waiting] + off, 1))
        fits &= bits >= 0
        joined[waiting[fits]] = steps[fits]
        total += float(bits[fits].sum())
        waiting = waiting[~fits]
    return None if waiting.size else Steps(joined, total)
