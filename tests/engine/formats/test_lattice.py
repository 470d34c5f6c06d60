"""E8P and what refines it: the codebook is the paper's, and the search finds its nearest point."""

import numpy as np
import pytest

from quantcore import get_format, pool
from quantcore.formats import LATTICE
from quantcore.formats.lattice.codebooks import E8_POINTS, PATTERNS, e8p_points
from quantcore.formats.lattice.e8p import E8P
from quantcore.formats.lattice.lattice import LatticePacked
from quantcore.formats.lattice.search import nearest_e8, nearest_e8p

RNG = np.random.default_rng(12)
ALL = pytest.mark.parametrize("name", LATTICE)


def test_65536_distinct_points():
    points = e8p_points()
    assert points.shape == (65_536, 8)
    assert len(np.unique(points, axis=0)) == 65_536


def test_the_patterns_are_the_papers():
    """227 of a squared length up to 10, by length, and 29 of the 56 of length 12."""
    lengths, counts = np.unique(np.square(PATTERNS).sum(axis=1), return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True)) == {
        2: 1, 4: 8, 6: 28, 8: 64, 10: 126, 12: 29
    }  # fmt: skip
    longest = PATTERNS[np.square(PATTERNS).sum(axis=1) == 12]
    assert ((longest == 1.5).sum(axis=1) == 5).all() and ((longest == 0.5).sum(axis=1) == 3).all()


def test_every_point_is_on_the_shifted_lattice():
    """Without its shift of 1/4: odd halves with an even sum, or those of the mirrored lattice."""
    points, codes = e8p_points().astype(np.float64), np.arange(1 << 16)
    bare = points - np.where(codes & 1, -0.25, 0.25)[:, None]
    assert (bare * 2 % 2 == 1).all()
    assert (bare.sum(axis=1) % 2 == 0).all()


def test_e8_has_its_shortest_vectors():
    lengths, counts = np.unique(np.square(E8_POINTS).sum(axis=1), return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True)) == {0: 1, 2: 240, 4: 15}
    assert len(np.unique(E8_POINTS, axis=0)) == 256
    assert (E8_POINTS.sum(axis=1) % 2 == 0).all()  # and all entries whole, or all odd halves
    assert np.isin((E8_POINTS * 2 % 2).sum(axis=1), (0, 8)).all()


@pytest.mark.parametrize("spread", [0.3, 1.0, 1.5, 4.0, 100.0])
@pytest.mark.parametrize(
    ("nearest", "points"), [(nearest_e8p, e8p_points()), (nearest_e8, E8_POINTS)]
)
def test_the_search_equals_brute_force(spread, nearest, points):
    vectors = RNG.normal(0, spread, (64, 8)).astype(np.float32)
    codes = np.empty(64, np.uint16)
    nearest(vectors, codes)
    wide = vectors.astype(np.float64)
    squares = np.square(wide).sum(1)[:, None] - 2 * wide @ points.T + np.square(points).sum(1)
    np.testing.assert_array_equal(codes, squares.argmin(axis=1))


def test_every_point_is_its_own_nearest():
    codes = np.empty(1 << 16, np.uint16)
    nearest_e8p(e8p_points(), codes)
    np.testing.assert_array_equal(codes, np.arange(1 << 16))
    codes = np.empty(256, np.uint16)
    nearest_e8(E8_POINTS, codes)
    np.testing.assert_array_equal(codes, np.arange(256))


@pytest.mark.parametrize(
    ("spread", "error"),
    [(0.9, 0.0993), (0.97, 0.0933), (1.0, 0.0921), (1.03, 0.0915), (1.06, 0.0917)],
)
def test_the_error_of_a_normal_distribution(spread, error):
    vectors = np.random.default_rng(0).normal(0, spread, (100_000, 8)).astype(np.float32)
    codes = np.empty(len(vectors), np.uint16)
    nearest_e8p(vectors, codes)
    left = np.square(vectors - E8P.points()[codes]).mean() / spread**2
    assert left == pytest.approx(error, rel=5e-3)


@pytest.mark.parametrize(("name", "error"), [("E8P2", 0.0915), ("E8P3", 0.0297), ("E8P4", 0.0084)])
def test_spreads_and_factors_are_the_best(name, error):
    """No neighbouring spread or factor does better on a normal distribution."""
    fmt = LATTICE[name]
    weights = np.random.default_rng(1).normal(0, 0.02, (256, 512)).astype(np.float32)

    def left(spread, refine):
        changed = type(fmt)(
            name="", code_bits=fmt.code_bits, codebook=fmt.codebook, second=fmt.second,
            spread=spread, refine=refine,
        )  # fmt: skip
        noise = np.square(changed.round_trip(weights) - weights).mean()
        return noise / np.square(weights).mean()

    here = left(fmt.spread, fmt.refine)
    assert here == pytest.approx(error, rel=0.01)
    for spread, refine in ((1.07, 1), (0.93, 1), (1, 1.07), (1, 0.93)):
        other = left(fmt.spread * spread, fmt.refine * refine)
        assert other > here or (fmt.second is None and refine != 1)


@ALL
def test_bits_are_where_the_docstring_says(name):
    fmt = get_format(name)
    code = 217 << 8 | 0b0110001 << 1 | 1
    codes = np.zeros((1, fmt.code_bits), np.uint8)
    codes[0, :2] = code & 0xFF, code >> 8
    minus = np.array([1, 0, 0, 0, 1, 1, 0])
    last = (minus.sum() + PATTERNS[217].sum()) % 2
    first = (1 - 2 * np.append(minus, last)) * PATTERNS[217] - 0.25
    second = 0 if fmt.second is None else fmt.second.points()[0] / np.float32(fmt.refine)
    restored = fmt.dequantize(LatticePacked(codes=codes, scale=np.float32(2)))
    np.testing.assert_allclose(restored[0], 2 * (first + second), rtol=1e-6)


@ALL
def test_laws(name):
    fmt = get_format(name)
    weights = RNG.normal(0, 0.02, (33, 512)).astype(np.float32)
    restored = fmt.round_trip(weights)
    np.testing.assert_array_equal(fmt.round_trip(2 * weights), 2 * restored)
    assert not fmt.round_trip(np.zeros((2, 16), np.float32)).any()
    packed = fmt.quantize(weights)
    assert packed.codes.nbytes + 4 == fmt.stored_bytes((33, 512)) == 33 * 64 * fmt.code_bits + 4
    with pool.threads(2):
        large = np.resize(weights, (600, 512))
        shared = fmt.quantize(large)
    with pool.threads(1):
        np.testing.assert_array_equal(fmt.quantize(large).codes, shared.codes)


def test_bad_weights_are_refused():
    fmt = get_format("e8p2")
    weights = np.ones((2, 16), np.float32)
    with pytest.raises(ValueError, match="multiple of 8 weights; here it is 12"):
        fmt.quantize(weights[:, :12])
    with pytest.raises(ValueError, match=r"needs weights .n_rows, n_cols."):
        fmt.quantize(weights[0])
    weights[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"cannot store nan .row 1, column 3"):
        fmt.quantize(weights)
