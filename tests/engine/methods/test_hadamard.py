"""Hadamard matrices are what they are called, and transforms are products with them."""

import numpy as np
import pytest

from quantcore.methods.rotations.hadamard import RandomHadamard, hadamard, mixed_length
from quantcore.methods.rotations.hadamard_matrices import hadamard_matrix

# Those of QuIP#'s table, and a few more that sizes of models ask for: 76, 100's double, 148.
ORDERS = (1, 2, 64, 12, 20, 28, 36, 52, 60, 108, 116, 124, 140, 156, 172, 68, 76, 148, 200)
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("order", ORDERS)
def test_rows_are_orthogonal(order):
    signs = hadamard_matrix(order)
    assert signs.shape == (order, order)
    assert (np.abs(signs) == 1).all()
    np.testing.assert_array_equal(signs @ signs.T, order * np.eye(order))


@pytest.mark.parametrize("order", [0, 3, 6, 10, 92, 188])
def test_where_there_is_none_none_is_returned(order):
    assert hadamard_matrix(order) is None


@pytest.mark.parametrize("n", [1, 2, 8, 128, 256, 4096, 12, 768, 576, 896, 1376, 11008])
def test_a_transform_is_a_rotation_of_all_places(n):
    assert mixed_length(n) == n
    rows = RNG.standard_normal((3, n))
    turned = hadamard(rows)
    np.testing.assert_allclose(np.square(turned).sum(1), np.square(rows).sum(1), rtol=1e-12)
    np.testing.assert_allclose(hadamard(turned, inverse=True), rows, atol=1e-12)
    one = np.zeros((1, n))
    one[0, n // 3] = 1
    np.testing.assert_allclose(np.abs(hadamard(one)), n**-0.5, rtol=1e-12)


@pytest.mark.parametrize("n", [8, 128, 256])
def test_powers_of_two_are_sylvesters(n):
    """Entry (i, j) is -1 to the number of bits that i and j have in common."""
    places = np.arange(n)
    common = np.bitwise_count(places[:, None] & places)
    np.testing.assert_allclose(hadamard(np.eye(n)).T * np.sqrt(n), (-1.0) ** common, atol=1e-12)


def test_what_has_no_matrix_is_mixed_in_runs():
    assert mixed_length(250) == 2
    assert mixed_length(92 * 2**9 // 4) == 92 * 2**9 // 4  # 368 = 367 + 1, a prime
    one = np.zeros((1, 250))
    one[0, 7] = 1
    assert np.flatnonzero(hadamard(one)).tolist() == [6, 7]


def test_float32_stays_float32_and_its_input_stays():
    rows = RNG.standard_normal((5, 768)).astype(np.float32)
    before = rows.copy()
    turned = hadamard(rows)
    assert turned.dtype == np.float32
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_allclose(hadamard(turned, inverse=True), rows, atol=3e-6)
    single = np.float32([[3]])
    assert not np.shares_memory(hadamard(single), single)


def test_signs_follow_the_seed():
    a, b, c = (RandomHadamard.drawn(256, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.signs, b.signs)
    assert (a.signs != c.signs).any()
    rows = RNG.standard_normal((4, 256)).astype(np.float32)
    np.testing.assert_allclose(a.rotate_back(a.rotate(rows)), rows, atol=2e-6)
    assert np.abs(a.rotate(rows) - c.rotate(rows)).max() > 1


def test_runs_are_mixed_apart():
    turned = RandomHadamard.drawn(64, None, run=16)
    one = np.zeros((1, 64), np.float32)
    one[0, 20] = 4
    assert np.flatnonzero(turned.rotate(one)).tolist() == list(range(16, 32))
    np.testing.assert_array_equal(turned.rotate_back(turned.rotate(one)), one)
    with pytest.raises(ValueError, match="64 weights does not divide into Hadamard runs of 24"):
        RandomHadamard.drawn(64, None, run=24)
