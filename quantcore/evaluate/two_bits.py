"""Three codes of two bits per weight on a matrix that was turned: each alone, E8P, a trellis.

    alone      the best four values for a normal distribution, for each weight by itself
    E8P        eight weights at once, one of 65,536 points (`quantcore.formats.lattice`)
    trellis    256 weights at once, a path through 65,536 states (`quantcore.methods.trellis`)

All take the nearest; what QuIP# and QTIP pass on from column to column is left out. Weights are in
units of their root mean square, and so are errors.

The four values: Max, Quantizing for Minimum Distortion, 1960.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Weights
from quantcore.formats import get_format
from quantcore.formats.lattice.codebooks import N_DIMENSIONS, e8p_points
from quantcore.formats.lattice.lattice import LatticeFormat
from quantcore.methods.rotations.incoherence import Incoherence
from quantcore.methods.trellis import TILE, States, decode, encode, states_of, values

BITS = 2
BOUND = 0.25  # least error of a normal distribution by any code of two bits: 2^-2
FOUR = np.array([-1.5104, -0.4528, 0.4528, 1.5104], np.float32)
AT_MOST = 1 << 20  # weights that errors are taken over
VECTORS, TILES = 96, 64  # of eight and of 256, evenly spread, that are kept to be shown
MEASURED_TILES = 8  # that the trellis encodes, for it is slow

ALONE, LATTICE, TRELLIS = "alone", "E8P", "trellis"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnedWeights:
    """Some weights of a matrix after a rotation of both sides, and what they become."""

    vectors: Weights  # (n, 8), spread over the matrix
    tiles: Weights  # (n, 256), spread over the matrix
    errors: dict[str, float]  # root mean square by code; the trellis' over fewer weights

    def nearest(self) -> dict[str, Weights]:
        """Round `vectors` by the two codes that need no more than eight weights: (n, 8) each."""
        return {LATTICE: to_e8p(self.vectors), ALONE: to_four(self.vectors)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """The path of a trellis through 256 weights."""

    weights: Weights  # (256,)
    states: States  # (256,): the last two of their 16 bits are new at each step
    restored: Weights  # (256,)
    within_reach: Weights  # (256, 4): values of the states that could follow the one before
    errors: dict[str, float]  # root mean square over these weights, by code

    @property
    def detours(self) -> int:
        """Steps that take another value than the nearest of the four, for what comes later."""
        off = np.abs(self.within_reach - self.weights[:, None]).min(axis=1)
        return int((np.abs(self.restored - self.weights) > off).sum())


def turned_weights(weights: Weights, seed: int = 0) -> TurnedWeights:
    """Turn a matrix (n_rows, n_cols), and store it in two bits per weight in three ways.

    Raises
    ------
    ValueError
        If rows do not divide by 8, there are fewer than 256 weights, or all are 0.
    """
    _e8p().check(weights.shape)
    if weights.size < TILE:
        raise ValueError(f"A trellis needs {TILE} weights, and this matrix has {weights.size}.")
    turned = Incoherence.drawn(weights.shape, seed).rotate(weights)
    size = float(np.sqrt(np.square(turned, dtype=np.float64).mean()))
    if not size:
        raise ValueError("All weights of this matrix are 0: any code stores them.")
    rows = -(-len(turned) // max(1, AT_MOST // turned.shape[1]))
    some = (turned[::rows] / np.float32(size)).astype(np.float32)
    flat = some.reshape(-1)
    tiles = _spread(flat[: flat.size // TILE * TILE].reshape(-1, TILE), TILES)
    walked = _spread(tiles, MEASURED_TILES)
    errors = {code: _error(some, rounded(some)) for code, rounded in _ROUNDED.items()}
    errors[TRELLIS] = _error(walked, decode(encode(walked, BITS), BITS))
    return TurnedWeights(
        vectors=_spread(some.reshape(-1, N_DIMENSIONS), VECTORS), tiles=tiles, errors=errors
    )


def walk(tile: Weights) -> Walk:
    """Follow a trellis through 256 weights in units of their root mean square."""
    packed = encode(tile[None], BITS)
    (states,) = states_of(packed, BITS)
    before = np.roll(states, 1).astype(np.int64)  # the bits go round in a ring
    following = (before[:, None] << BITS & 0xFFFF) + np.arange(1 << BITS)
    restored = values()[states]
    errors = {code: _error(tile, rounded(tile[None])[0]) for code, rounded in _ROUNDED.items()}
    return Walk(
        weights=tile,
        states=states,
        restored=restored,
        within_reach=values()[following],
        errors=errors | {TRELLIS: _error(tile, restored)},
    )


def to_e8p(weights: Weights) -> Weights:
    """Round weights (n_rows, n_cols) of a root mean square of 1 to E8P's nearest points."""
    fmt = _e8p()
    vectors = weights.reshape(-1, N_DIMENSIONS) * np.float32(fmt.spread)
    points = fmt.nearest(vectors, np.empty((len(vectors), fmt.code_bits), np.uint8))
    rounded: Weights = (points / np.float32(fmt.spread)).reshape(weights.shape)
    return rounded


def to_four(weights: Weights) -> Weights:
    """Round each weight to the nearest of the four values."""
    middles = (FOUR[1:] + FOUR[:-1]) / 2
    rounded: Weights = FOUR[np.searchsorted(middles, weights)]
    return rounded


_ROUNDED = {ALONE: to_four, LATTICE: to_e8p}


@cache
def places(first: int, second: int) -> Weights:
    """Where E8P's points are in the plane of two of their eight dimensions, (n, 2), each once."""
    found = np.unique(e8p_points()[:, [first, second]], axis=0) / np.float32(_e8p().spread)
    return read_only(found)


def _e8p() -> LatticeFormat:
    fmt = get_format("E8P2")
    assert isinstance(fmt, LatticeFormat)
    return fmt


def _spread(rows: Weights, most: int) -> Weights:
    chosen: NDArray[np.intp] = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)
    return rows[chosen]


def _error(weights: Weights, restored: Weights) -> float:
    off = np.square(restored.astype(np.float64) - weights).sum()
    return float(np.sqrt(off / np.square(weights, dtype=np.float64).sum()))
