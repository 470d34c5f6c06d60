"""The trellis: its values are EXL3's, its paths the best, its bits a ring, its errors QTIP's."""

import struct

import numpy as np
import pytest

from quantcore.methods.trellis import (
    BITS,
    SPREAD,
    decode,
    encode,
    free_path,
    ring_path,
    states_of,
    values,
)

TILES = np.random.default_rng(5).standard_normal((16, 256)).astype(np.float32)
LLOYD_MAX = {2: 0.1175, 3: 0.03455, 4: 0.0095}  # the best single numbers for a normal distribution


@pytest.mark.parametrize("state", [0, 1, 2, 255, 40_000, 65_535])
def test_a_value_by_hand(state):
    """Half of the product's bits replaced, its halves read as float16, and added as float16."""
    mixed = (0xCBAC1FED * state % 2**32) & 0x8FFF8FFF ^ 0x3B603B60
    low, high = struct.unpack("<2e", struct.pack("<I", mixed))
    (summed,) = struct.unpack("<e", struct.pack("<e", low + high))
    assert values()[state] == np.float32(summed / SPREAD)


def test_values_are_close_to_normal():
    assert abs(values().mean()) < 1e-3
    assert values().std() == pytest.approx(1, rel=1e-3)  # EXL3's constant is their spread
    assert (np.abs(values()) < 1).mean() == pytest.approx(0.683, abs=0.02)


def naive_cost(tile, k):
    """Viterbi from the definition: the least cost of any path, all states at once."""
    costs = np.zeros(1 << 16)
    shared = 1 << 16 - k
    for t, weight in enumerate(tile.astype(np.float64)):
        best = costs.reshape(1 << k, shared).min(axis=0)  # the forerunners of a state
        costs = (best if t else np.zeros(shared)).repeat(1 << k) + (weight - values()) ** 2
    return costs.min()


@pytest.mark.parametrize("k", BITS)
def test_no_path_is_better(k):
    tile = TILES[0, :40]
    states = free_path(tile, k).astype(np.int64)
    assert (states[1:] >> k == states[:-1] & (1 << 16 - k) - 1).all()
    cost = np.square(values()[states] - tile, dtype=np.float64).sum()
    assert cost == pytest.approx(naive_cost(tile, k), rel=1e-5)


@pytest.mark.parametrize("k", BITS)
def test_bits_go_round_in_a_ring(k):
    packed = encode(TILES[:2], k)
    assert packed.shape == (2, 32 * k) and packed.dtype == np.uint8
    states = states_of(packed, k).astype(np.int64)
    before = np.roll(states, 1, axis=1)  # the first state's forerunner is the last
    assert (states >> k == before & (1 << 16 - k) - 1).all()
    np.testing.assert_array_equal(states[0], ring_path(TILES[0], k))
    np.testing.assert_array_equal(decode(packed, k), values()[states])
    turned = decode(np.packbits(np.roll(np.unpackbits(packed, axis=1, bitorder="little"), 8 * k,
                                        axis=1), axis=1, bitorder="little"), k)  # fmt: skip
    np.testing.assert_array_equal(turned, np.roll(decode(packed, k), 8, axis=1))


@pytest.mark.parametrize(("k", "error"), [(2, 0.0677), (3, 0.0166)])
def test_errors_are_those_measured_elsewhere(k, error):
    """A numpy Viterbi measured them on a few tiles; QTIP's table has 0.069 at two bits.

    Tiles differ from each other by a tenth, so few of them settle no more than that.
    """
    left = np.square(decode(encode(TILES, k), k) - TILES).mean()
    assert left == pytest.approx(error, rel=0.06)
    assert k != 2 or left == pytest.approx(0.069, rel=0.03)
    assert 4.0**-k < left < 0.6 * LLOYD_MAX[k]


def test_four_bits_and_the_price_of_the_ring():
    tiles = TILES[:4]
    left = np.square(decode(encode(tiles, 4), 4) - tiles).mean()
    free = np.mean([np.square(values()[free_path(tile, 4)] - tile).mean() for tile in tiles])
    assert 4.0**-4 < free < left < 0.6 * LLOYD_MAX[4]
    assert left < 1.1 * free


def test_bad_input_gets_a_sentence():
    with pytest.raises(ValueError, match="2, 3 or 4 bits per weight, not 5"):
        encode(TILES, 5)
    with pytest.raises(ValueError, match="of finite weights"):
        encode(TILES[:, :100], 2)
    with pytest.raises(ValueError, match="of finite weights"):
        encode(np.full((1, 256), np.nan, np.float32), 2)
