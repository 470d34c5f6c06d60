"""Rounding to nearest, with scales by the format's rule or by a search."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.method import LayerInputs
from quantcore.methods.rtn import RoundToNearest
from quantcore.methods.scale_search import SHARES

RNG = np.random.default_rng(5)
WEIGHTS = RNG.standard_t(4, (24, 256)).astype(np.float32)
SQUARES = RNG.lognormal(0, 1.5, 256).astype(np.float32)
INPUTS = LayerInputs(n_tokens=9, mean_square=SQUARES, mean_abs=SQUARES, largest=SQUARES)


def error(restored, counts=1.0):
    return float((np.square(restored - WEIGHTS, dtype=np.float64) * counts).sum())


@pytest.mark.parametrize("name", ["INT4_G32", "INT8_ROW_ASYM", "Q4_K", "NF4", "MXFP4"])
def test_plain_rounding_is_the_formats_own(name):
    fmt = get_format(name)
    chosen = RoundToNearest().choose(WEIGHTS, fmt, INPUTS)
    np.testing.assert_array_equal(chosen.restored, fmt.round_trip(WEIGHTS))
    assert chosen.stored_bytes == fmt.stored_bytes(WEIGHTS.shape)


@pytest.mark.parametrize("name", ["INT4_ROW", "INT3_G32", "INT4_G64_ASYM", "INT2_TENSOR"])
def test_a_search_finds_the_best_share_of_every_range(name):
    """Beside each share for itself: of every scale the best is taken, so none beats the whole."""
    fmt = get_format(name)
    found = RoundToNearest(searched=True).choose(WEIGHTS, fmt, INPUTS).restored
    low, high = fmt.ranges(WEIGHTS)
    length = fmt.block_length(256)
    by_share = []
    for share in SHARES:
        tried = fmt.dequantize(fmt.quantize_within(WEIGHTS, share * low, share * high))
        squares = np.square(tried - WEIGHTS, dtype=np.float64).reshape(-1, length).sum(1)
        by_share.append(squares.reshape(len(low), -1).sum(1))
    assert error(found) == pytest.approx(np.min(by_share, axis=0).sum(), rel=1e-6)
    assert error(found) < 0.97 * error(fmt.round_trip(WEIGHTS))


@pytest.mark.parametrize("name", ["INT4_ROW", "INT3_G64_ASYM"])
def test_a_weighted_search_serves_what_counts(name):
    fmt = get_format(name)
    plain = RoundToNearest(searched=True).choose(WEIGHTS, fmt, INPUTS).restored
    weighted = RoundToNearest(searched=True, weighted=True).choose(WEIGHTS, fmt, INPUTS).restored
    assert error(weighted, SQUARES) < error(plain, SQUARES)
    assert error(weighted) > error(plain)


def test_importance_goes_to_ggmls_searches():
    fmt = get_format("Q4_K")
    weighted = RoundToNearest(weighted=True).choose(WEIGHTS, fmt, INPUTS)
    np.testing.assert_array_equal(weighted.packed, fmt.quantize(WEIGHTS, SQUARES))
    needing = get_format("IQ2_XXS")
    chosen = RoundToNearest().choose(WEIGHTS, needing, INPUTS)
    np.testing.assert_array_equal(chosen.packed, needing.quantize(WEIGHTS, SQUARES))


def test_what_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 32"):
        RoundToNearest().choose(WEIGHTS[:, :40], get_format("Q4_0"), INPUTS)
