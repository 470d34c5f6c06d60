"""Codes of two bits side by side: errors are those of the papers, and a walk is one."""

import numpy as np
import pytest

from quantcore.evaluate import two_bits
from quantcore.evaluate.two_bits import ALONE, BOUND, LATTICE, TRELLIS
from quantcore.formats import get_format
from quantcore.methods.rotations.incoherence import Incoherence
from quantcore.methods.trellis import values
from quantcore.model.source import open_model

NORMAL = np.random.default_rng(7).normal(0, 0.03, (128, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def turned():
    return two_bits.turned_weights(NORMAL)


def test_errors_are_those_of_the_papers(turned):
    """Max's table, QuIP#'s and QTIP's for a normal distribution; no code is below the bound."""
    wanted = {ALONE: 0.1175, LATTICE: 0.0915, TRELLIS: 0.069}
    for code, square in wanted.items():
        assert turned.errors[code] == pytest.approx(np.sqrt(square), rel=0.03), code
    assert turned.errors[ALONE] > turned.errors[LATTICE] > turned.errors[TRELLIS] > BOUND


def test_e8p_is_the_format_on_the_layer_that_is_turned():
    weights = open_model().weights("blk.1.attn_v.weight")
    rotated = Incoherence.drawn(weights.shape, seed=0).rotate(weights)
    restored = get_format("E8P2").round_trip(rotated)
    error = np.sqrt(np.square(restored - rotated).sum() / np.square(rotated).sum())
    found = two_bits.turned_weights(weights)
    assert found.errors[LATTICE] == pytest.approx(error, rel=1e-5)
    assert found.tiles.shape == (64, 256) and found.vectors.shape == (96, 8)


def test_points_are_where_the_picture_has_them(turned):
    rounded, places = turned.nearest(), two_bits.places(0, 1)
    there = {tuple(place) for place in places.round(4).tolist()}
    assert {tuple(pair) for pair in rounded[LATTICE][:, :2].round(4).tolist()} <= there
    assert len(there) == len(places) > 16
    assert set(np.unique(rounded[ALONE])) <= set(two_bits.FOUR)
    off = np.abs(rounded[ALONE] - turned.vectors)
    assert (off <= np.abs(turned.vectors[..., None] - two_bits.FOUR).min(axis=2) + 1e-6).all()


def test_a_walk_goes_from_state_to_state(turned):
    found = two_bits.walk(turned.tiles[3])
    states = found.states.astype(np.int64)
    assert (states >> 2 == np.roll(states, 1) & 0x3FFF).all()
    np.testing.assert_array_equal(found.restored, values()[states])
    np.testing.assert_array_equal(
        found.within_reach[np.arange(256), states & 3], found.restored
    )  # fmt: skip
    off = np.abs(found.within_reach - turned.tiles[3][:, None])
    assert found.detours == (off.argmin(axis=1) != (states & 3)).sum() > 0
    by_hand = np.linalg.norm(found.restored - found.weights) / np.linalg.norm(found.weights)
    assert found.errors[TRELLIS] == pytest.approx(by_hand, rel=1e-5)
    assert found.errors[TRELLIS] < found.errors[LATTICE] < found.errors[ALONE]


def test_what_does_not_suit_gets_a_sentence():
    with pytest.raises(ValueError, match="8"):
        two_bits.turned_weights(NORMAL[:, :20])
    with pytest.raises(ValueError, match="needs 256 weights, and this matrix has 64"):
        two_bits.turned_weights(NORMAL[:4, :16])
    with pytest.raises(ValueError, match="are 0"):
        two_bits.turned_weights(np.zeros((16, 16), np.float32))
