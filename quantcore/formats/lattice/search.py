"""The nearest point of a codebook, without trying every point.

Most vectors have their nearest point of the whole lattice in E8P, and that is found by rounding:
each place to the nearest odd half; if the sum is odd then, the place that lies worst goes to its
second nearest. For the others all patterns are compared at once:

    |y - s p|^2 = |y|^2 - 2 (y . s p - |p|^2 / 2)

The signs that suit y best are its own. If their number of minuses does not fit the pattern, the
sign is turned where that costs least: at the smallest |y_i| p_i.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, lean_kernel
from quantcore.checks import read_only
from quantcore.format import Weights
from quantcore.formats.lattice.codebooks import (
    E8_HALF_SQUARES,
    E8_POINTS,
    N_DIMENSIONS,
    PATTERNS,
    SHIFTS,
    SUM_IS_ODD,
)

N_PATTERNS = len(PATTERNS)
_COLUMNS = np.ascontiguousarray(PATTERNS.T)  # (8, 256): patterns side by side
_HALF_SQUARES = np.square(PATTERNS).sum(axis=1) / np.float32(2)
_TURNED = np.stack([SUM_IS_ODD, 1 - SUM_IS_ODD]).astype(np.float32)
"""(2, 256): 1 where a sign must be turned, for an even and an odd number of minuses."""
_E8_COLUMNS = np.ascontiguousarray(E8_POINTS.T)

_PLACE = np.full(3**N_DIMENSIONS, -1, np.int16)  # of a pattern: its digits (p - 1/2) in base 3
_PLACE[(PATTERNS - 0.5).astype(np.int64) @ 3 ** np.arange(N_DIMENSIONS)] = np.arange(N_PATTERNS)


@inlined
def _rounded(vector, shift, sizes):
    """Round to the lattice: squared distance, code or -1 if that point is not in the codebook.

    Fills `sizes` with |y|, and returns the signs of y as bits too.
    """
    minus, digits, odd, worst, off = 0, 0, 0, 0, np.float32(-1)
    square, power = np.float32(0), 1
    far = False
    for i in range(N_DIMENSIONS):
        y = np.float32(vector[i] - SHIFTS[shift])
        size = abs(y)
        sizes[i] = size
        digit = np.int32(size)
        is_minus = np.int32(y < np.float32(0))
        minus |= is_minus << i
        odd += digit + is_minus
        distance = abs(np.float32(size - np.float32(digit) - np.float32(0.5)))
        square += np.float32(distance * distance)
        if distance > off:
            off, worst = distance, i
        far |= digit > 2
        digits += digit * power
        power *= 3
    signs = minus
    if odd & 1:  # four of the halves' sum are even
        square += np.float32(np.float32(1) - np.float32(2) * off)
        digit = np.int32(sizes[worst])
        power = 1
        for _ in range(worst):
            power *= 3
        if sizes[worst] > np.float32(digit) + np.float32(0.5):
            digits += power
            far |= digit == 2
        elif digit:
            digits -= power
        else:
            signs ^= 1 << worst
    place = -1 if far else np.int32(_PLACE[digits])
    code = -1 if place < 0 else place << 8 | (signs & 0x7F) << 1 | shift
    return square, code, minus


@inlined
def _largest(scores, places):
    """Find the place of the largest of 256 by a tournament, which spoils both arrays."""
    for p in range(N_PATTERNS):
        places[p] = p
    half = N_PATTERNS // 2
    while half:
        for p in range(half):
            other = scores[p + half] > scores[p]
            scores[p] = scores[p + half] if other else scores[p]
            places[p] = places[p + half] if other else places[p]
        half //= 2
    return places[0]


@inlined
def _compared(sizes, minus, shift, scores, least, places):
    """Compare all patterns: squared distance and code of the nearest."""
    square, n_minus = np.float32(0), 0
    for p in range(N_PATTERNS):
        scores[p] = -_HALF_SQUARES[p]
        least[p] = np.float32(np.inf)
    for i in range(N_DIMENSIONS):
        square += np.float32(sizes[i] * sizes[i])
        n_minus += minus >> i & 1
        for p in range(N_PATTERNS):
            term = np.float32(sizes[i] * _COLUMNS[i, p])
            scores[p] += term
            least[p] = term if term < least[p] else least[p]
    parity = n_minus & 1
    for p in range(N_PATTERNS):
        scores[p] -= np.float32(np.float32(2) * least[p]) * _TURNED[parity, p]
    best = _largest(scores, places)
    if _TURNED[parity, best] > 0:
        turned = 0
        for i in range(1, N_DIMENSIONS):
            if sizes[i] * _COLUMNS[i, best] < sizes[turned] * _COLUMNS[turned, best]:
                turned = i
        minus ^= 1 << turned
    distance = np.float32(square - np.float32(2) * scores[0])
    return distance, best << 8 | (minus & 0x7F) << 1 | shift


@lean_kernel
def _nearest_e8p(vectors, sizes, distances, found, signs, scores, places, codes):
    for v in range(vectors.shape[0]):
        for shift in range(2):
            distances[shift], found[shift], signs[shift] = _rounded(vectors[v], shift, sizes[shift])
        nearest = np.float32(np.inf)
        first = 0 if distances[0] <= distances[1] else 1
        for turn in range(2):
            shift = first ^ turn
            # Rounding is the nearest of the whole lattice: no point of this shift lies nearer.
            distance, code = distances[shift], found[shift]
            if code < 0 and distance < nearest:
                distance, code = _compared(
                    sizes[shift], signs[shift], shift, scores[0], scores[1], places
                )
            if distance < nearest:
                nearest = distance
                codes[v] = code


@lean_kernel
def _nearest_e8(vectors, scores, places, codes):
    for v in range(vectors.shape[0]):
        for p in range(N_PATTERNS):
            scores[p] = -E8_HALF_SQUARES[p]
        for i in range(N_DIMENSIONS):
            for p in range(N_PATTERNS):
                scores[p] += np.float32(vectors[v, i] * _E8_COLUMNS[i, p])
        codes[v] = _largest(scores, places)


def nearest_e8p(vectors: Weights, codes: NDArray[np.uint16]) -> None:
    """Fill `codes` (n,) with the nearest of E8P's points to vectors (n, 8)."""
    sizes = np.empty((2, N_DIMENSIONS), np.float32)
    found, signs = np.empty((2, 2), np.int64)
    scores = np.empty((2, N_PATTERNS), np.float32)
    places = np.empty(N_PATTERNS, np.int32)
    distances = np.empty(2, np.float32)
    _nearest_e8p(read_only(vectors), sizes, distances, found, signs, scores, places, codes)


def nearest_e8(vectors: Weights, codes: NDArray[np.uint16]) -> None:
    """Fill `codes` (n,) with the nearest of E8's 256 points to vectors (n, 8)."""
    scores, places = np.empty(N_PATTERNS, np.float32), np.empty(N_PATTERNS, np.int32)
    _nearest_e8(read_only(vectors), scores, places, codes)
