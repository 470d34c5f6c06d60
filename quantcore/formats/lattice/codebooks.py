"""Points of eight dimensions: E8P, 65,536 of them, and 256 of the lattice E8 itself.

E8P's points are those of E8 / 2 + 1/4 that a normal distribution needs most:

    point = signs * pattern + shift      pattern: halves of odd numbers; shift: +1/4 or -1/4

    bit   15      8 7      1 0
          pattern   signs    shift        a sign is 1 for minus; shift 1 is -1/4

Signed patterns have an even sum, so the eighth sign follows from the others. The 256 patterns are
all 227 of a squared length up to 10, and 29 of the 56 with five 3/2 and three 1/2. Which 29 makes
no difference to the error: here the first in order, so codes are not those of QuIP#'s own files.

E8's 256 points are 0, the 240 shortest vectors, and 15 of those that are twice a unit vector.

Source: Tseng et al., QuIP#: Even Better LLM Quantization with Hadamard Incoherence and Lattice
Codebooks, 2024, sections 4.2 and 4.3.
"""

from functools import cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Weights

N_DIMENSIONS = 8
SHIFTS = np.array([0.25, -0.25], np.float32)


def _patterns() -> Weights:
    """All 256, (256, 8), by length and then by their entries, the smallest first."""
    short = [p for p in product((0.5, 1.5, 2.5), repeat=8) if sum(x * x for x in p) <= 10]
    longer = []
    for small in combinations(range(8), 3):
        longer.append(tuple(0.5 if i in small else 1.5 for i in range(8)))
    ordered = sorted(short, key=lambda p: (sum(x * x for x in p), p)) + sorted(longer)[:29]
    return np.array(ordered, np.float32)


PATTERNS = read_only(_patterns())
SUM_IS_ODD = read_only(PATTERNS.sum(axis=1).astype(np.int64) % 2)  # then one sign more is minus


@cache
def e8p_points() -> Weights:
    """Points of all codes, (65536, 8)."""
    codes = np.arange(1 << 16)
    patterns = codes >> 8
    minus = codes[:, None] >> np.arange(1, 8) & 1
    last = (minus.sum(axis=1) + SUM_IS_ODD[patterns]) % 2
    signs = 1 - 2 * np.column_stack([minus, last])
    return read_only((signs * PATTERNS[patterns] + SHIFTS[codes & 1, None]).astype(np.float32))


def _e8_points() -> Weights:
    zero = [(0.0,) * 8]
    pairs = []
    for places in combinations(range(8), 2):
        for signs in product((1.0, -1.0), repeat=2):
            pairs.append([dict(zip(places, signs, strict=True)).get(i, 0.0) for i in range(8)])
    halves = [p for p in product((0.5, -0.5), repeat=8) if sum(x < 0 for x in p) % 2 == 0]
    doubled = [[2 * sign * (i == j) for i in range(8)] for sign in (1.0, -1.0) for j in range(8)]
    return np.array([*zero, *pairs, *halves, *doubled[:15]], np.float32)


E8_POINTS = read_only(_e8_points())
E8_HALF_SQUARES: NDArray[np.float32] = read_only(np.square(E8_POINTS).sum(axis=1) / 2)
