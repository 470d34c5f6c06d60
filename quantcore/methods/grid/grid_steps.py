"""Steps of which all weights of a block are whole multiples, within the rounding they have had.

Each weight lies within half a spacing of the stored type of a multiple, and so allows an interval
of steps; a step fits if it is in all of them. Codes so large that the spacing reaches a quarter
of the step prove nothing, and are not asked.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights

Stored = Literal["F32", "F16", "BF16"]
DIGITS: dict[Stored, int] = {"F32": 24, "F16": 11, "BF16": 8}  # of the mantissa, in bits
SMALLEST: dict[Stored, float] = {"F32": 0.0, "F16": 2.0**-24, "BF16": 0.0}  # spacing there is
LARGEST_CODE = 128
FIRST_ONES = 5  # weights of a block that are asked before all are


def stored_type(weights: Weights) -> Stored:
    """Tell the narrowest type that holds all weights as they are.

    >>> stored_type(np.float32([[1 / 3]])), stored_type(np.float32([[1.5, -0.25]]))
    ('F32', 'BF16')
    """
    if not (np.ascontiguousarray(weights, np.float32).view(np.uint32) & 0xFFFF).any():
        return "BF16"
    with np.errstate(over="ignore"):
        return "F16" if (weights.astype(np.float16) == weights).all() else "F32"


def rounded_to(values: Weights, stored: Stored) -> Weights:
    """Round float32 to a stored type, to nearest, ties to even."""
    if stored == "F32":
        return values
    if stored == "F16":
        return values.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A step for each block."""

    steps: Weights  # of each block; 0 where all weights are
    bits: float  # of evidence


class Blocks:
    """Blocks of weights, and how far each may have been rounded."""

    def __init__(self, blocks: Weights, stored: Stored) -> None:
        self.sizes = np.abs(blocks).astype(np.float64)
        self.stored = stored
        self.varied = blocks.min(axis=1) != blocks.max(axis=1)
        self.largest = self.sizes.max(axis=1)
        spacing = np.ldexp(1.0, np.frexp(self.sizes)[1] - DIGITS[stored])
        # Products of floats are rounded more than once.
        self.half = np.maximum(spacing, SMALLEST[stored]) * (2 if stored == "F32" else 0.5)

    def search(self) -> Steps | None:
        """Find the largest step of each block; None if one has none."""
        steps = np.zeros(len(self.sizes), np.float32)
        bits = 0.0
        waiting = np.flatnonzero(self.largest)
        for code in range(1, LARGEST_CODE + 1):
            if not waiting.size:
                break
            likely = waiting[self._first_ones_fit(waiting, code)]
            fits, found, evidence = self.fit(likely, np.full(len(likely), float(code)))
            steps[likely[fits]] = found[fits]
            bits += float(evidence[fits].sum())
            waiting = np.setdiff1d(waiting, likely[fits], assume_unique=True)
        return None if waiting.size else Steps(steps, bits)

    def _first_ones_fit(self, which: NDArray[np.int64], code: int) -> NDArray[np.bool_]:
        """Ask a few weights of each block, which spares most blocks the other ones."""
        step = self.largest[which] / code
        sizes, half = (each[which, :FIRST_ONES] / step[:, None] for each in (self.sizes, self.half))
        near = np.abs(sizes - np.rint(sizes)) <= 4 * half
        fits: NDArray[np.bool_] = near.all(axis=1)
        return fits

    def fit(
        self, which: NDArray[np.int64], codes: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], Weights, NDArray[np.float64]]:
        """Ask whether blocks have a step with which their largest weight has a code.

        Returns which have, the steps, and the bits of evidence, less those of the choice.
        """
        sizes, half = self.sizes[which], self.half[which]
        step = self.largest[which] / codes
        width = 4 * half / step[:, None]  # of a weight's interval and the step's own, in codes
        asked = (sizes > 0) & (width < 0.5)
        lower, upper = _interval(sizes, half, step, asked)
        said = np.where(asked, -np.log2(np.minimum(width, 1)), 0)
        # The largest weight is what the step was made of: it says nothing.
        bits = said.sum(axis=1) - said.max(axis=1) - np.log2(codes)
        bits = np.where(self.varied[which], bits, 0)  # one value over and over is no grid
        fits = lower <= upper
        step = np.where(np.isfinite(upper) & (lower > 0), (lower + upper) / 2, step)
        return fits, _settled(sizes, half, step, self.stored), bits


def _interval(
    sizes: NDArray[np.float64],
    half: NDArray[np.float64],
    step: NDArray[np.float64],
    asked: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound the steps that put all weights asked within half a spacing of a multiple."""
    codes = np.rint(sizes / step[:, None])
    some = np.maximum(codes, 0.25)  # no code of 0 suits a weight that is not 0
    lower = np.where(asked, (sizes - half) / some, 0).max(axis=1)
    upper = np.where(asked, (sizes + half) / some, np.inf).min(axis=1)
    nothing = (asked & (codes == 0)).any(axis=1)
    return np.where(nothing, np.inf, lower), upper


def _settled(
    sizes: NDArray[np.float64], half: NDArray[np.float64], step: NDArray[np.float64], stored: Stored
) -> Weights:
    """Narrow steps by the weights that prove nothing, and take the best float16 near by.

    Formats have such scales; the best is the one that gives most weights to the last bit.
    """
    lower, upper = _interval(sizes, half, step, sizes > 0)
    narrow = (lower <= upper) & np.isfinite(upper)
    settled = np.where(
        narrow, np.where(narrow, lower, 0) / 2 + np.where(narrow, upper, 0) / 2, step
    )
    codes = np.rint(sizes / step[:, None]).astype(np.float32)
    given = sizes.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        middle = settled.astype(np.float16)
        spacing = np.spacing(middle)
        best, fewest = settled.astype(np.float32), np.full(len(step), np.inf)
        for off in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            near = (middle + np.float16(off) * spacing).astype(np.float32)
            wrong = (rounded_to(near[:, None] * codes, stored) != given).sum(axis=1)
            better = (wrong < fewest) & (lower <= near) & (near <= upper)
            best[better], fewest[better] = near[better], wrong[better]
            if not fewest.any():
                break
    return best
