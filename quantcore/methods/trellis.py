"""Trellis coding, as in QTIP and EXL3: 256 weights at K bits each, seen sixteen bits at a time.

    state[t] = (state[t - 1] << K | bits[t]) & 0xFFFF        restored[t] = value of state[t]

A weight adds only K bits, but its value hangs on the 16 - K before as well: so 65,536 values are
there for each, and a path through them is found that suits all 256 (Viterbi). Bits go round in a
ring (tail biting): the first states hold the last bits, and no state is stored.

Values are made by a few instructions instead of a table. ``mcg``: a product mod 2^32, whose halves
become two float16 of random mantissa and almost the same exponent; their sum is close to normal.

Tiles here are runs of 256 weights. EXL3 takes 16 x 16 in the order of its matrix instructions, so
its bytes are others.

Sources: Tseng et al., QTIP, 2024, arXiv 2406.11235; exllamav3, exl3_lib/quantize.py, codebook.cuh.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import lean_kernel
from quantcore.checks import read_only
from quantcore.format import Packed, Weights
from quantcore.pool import over_rows

TILE = 256
STATE_BITS = 16
SPREAD = 1.24371088  # of mcg's values, root of the mean square: EXL3's codebook_scale
BITS = (2, 3, 4)
FREE = -1  # a path that may start and end anywhere

States = NDArray[np.uint16]


@cache
def values() -> Weights:
    """Value of each of the 65,536 states, in units of a normal distribution's spread."""
    product = np.arange(1 << STATE_BITS, dtype=np.uint32) * np.uint32(0xCBAC1FED)
    mixed = product & np.uint32(0x8FFF8FFF) ^ np.uint32(0x3B603B60)
    low, high = (mixed & np.uint32(0xFFFF)).astype(np.uint16), (mixed >> 16).astype(np.uint16)
    summed = low.view(np.float16) + high.view(np.float16)  # rounded to float16, as there
    return read_only((summed.astype(np.float64) / SPREAD).astype(np.float32))


@lean_kernel
def _viterbi(tile, table, start, costs, room, forerunner, choices, states):
    """Fill `states` with the cheapest path for a tile; see `FREE` for `start`.

    Costs lie in the order (last bits, bits before): then all that is added runs along memory. A
    state's forerunners differ in their first k bits only, and 2^k states have the same ones.
    """
    n, fan, n_shared = tile.size, table.shape[0], table.shape[1]
    run = n_shared // fan
    best, nearest = room[:n_shared], room[n_shared:]
    for u in range(n_shared):
        best[u] = np.float32(0) if start < 0 or u == start else np.float32(np.inf)
    for t in range(n):
        for b in range(fan if t else 0):
            for v in range(run):
                nearest[v] = np.float32(np.inf)
                forerunner[v] = 0
            for p in range(fan):
                some = costs[b, p * run : (p + 1) * run]
                for v in range(run):
                    nearer = some[v] < nearest[v]
                    nearest[v] = some[v] if nearer else nearest[v]
                    forerunner[v] = np.int32(p) if nearer else forerunner[v]
            for v in range(run):
                best[v * fan + b] = nearest[v]
                choices[t, v * fan + b] = forerunner[v]
        wanted = tile[t]
        for b in range(fan):
            for u in range(n_shared):
                error = np.float32(wanted - table[b, u])
                costs[b, u] = best[u] + np.float32(error * error)
    last, least = 0, np.float32(np.inf)
    for b in range(fan):
        for u in range(n_shared):
            state = u * fan + b
            if (start < 0 or state % n_shared == start) and costs[b, u] < least:
                last, least = state, costs[b, u]
    for t in range(n - 1, -1, -1):
        states[t] = last
        last = np.int64(choices[t, last // fan]) * n_shared + last // fan


def _best_path(tile: Weights, k: int, start: int) -> States:
    fan, shared = 1 << k, 1 << STATE_BITS - k
    states = np.empty(len(tile), np.uint16)
    rooms = (
        np.empty((fan, shared), np.float32),
        np.empty(shared + shared // fan, np.float32),
        np.empty(shared // fan, np.int32),
        np.zeros((len(tile), shared), np.uint8),
    )
    _viterbi(read_only(tile), _by_last_bits(k), start, *rooms, states)
    return states


@cache
def _by_last_bits(k: int) -> Weights:
    """Values in the order (last k bits, bits before), (2^k, 65536 / 2^k)."""
    return read_only(np.ascontiguousarray(values().reshape(-1, 1 << k).T))


def free_path(tile: Weights, k: int) -> States:
    """Find the best path for weights (n,) whose first state may be any: no ring, a bit better."""
    return _best_path(tile, k, FREE)


def ring_path(tile: Weights, k: int) -> States:
    """Find a path for weights (n,) whose bits go round in a ring.

    The tile is turned half round, so that the ring's seam lies in the middle of a free path; the
    bits that this path has there are then held fast, in a second one. (All 2^(16 - k) seams would
    have to be tried to be sure of the best.)
    """
    half = len(tile) // 2
    turned = free_path(np.roll(tile, half), k)
    seam = int(turned[half]) >> k  # what the first state holds of the bits before it
    return _best_path(tile, k, seam)


def encode(weights: Weights, k: int) -> Packed:
    """Encode weights (n_tiles, 256), of a spread of 1: 32 k bytes a tile, the first bits lowest.

    Raises
    ------
    ValueError
        If k is none of `BITS`, or tiles are not of 256 finite weights.
    """
    if k not in BITS:
        raise ValueError(f"A trellis here has 2, 3 or 4 bits per weight, not {k}.")
    if weights.ndim != 2 or weights.shape[1] != TILE or not np.isfinite(weights).all():
        raise ValueError(f"A trellis takes tiles (n, {TILE}) of finite weights.")
    packed = np.empty((len(weights), TILE * k // 8), np.uint8)

    def work(start: int, stop: int) -> None:
        for tile in range(start, stop):
            new_bits = ring_path(weights[tile].astype(np.float32), k)[:, None] >> np.arange(k) & 1
            packed[tile] = np.packbits(new_bits.astype(np.uint8), bitorder="little")

    over_rows(work, len(weights))
    return packed


def decode(packed: Packed, k: int) -> Weights:
    """Decode tiles (n_tiles, 32 k) to weights (n_tiles, 256)."""
    return values()[states_of(packed, k)]


def states_of(packed: Packed, k: int) -> States:
    """Read the state at each weight off the ring of bits: (n_tiles, 256)."""
    bits = np.unpackbits(packed, axis=1, bitorder="little").reshape(len(packed), TILE, k)
    new = (bits.astype(np.int64) << np.arange(k)).sum(axis=2)
    states = np.zeros_like(new)
    for back in range(-(-STATE_BITS // k)):
        states |= np.roll(new, back, axis=1) << back * k
    return (states & 0xFFFF).astype(np.uint16)
