"""What an importance matrix changes: errors with and without, and how unevenly columns matter."""

from types import SimpleNamespace

import numpy as np
import pytest

from quantcore import FORMATS, open_model, read_imatrix
from quantcore.evaluate.importance_use import (
    Pair,
    block_with_and_without,
    loudest,
    loudest_share,
    loudest_shares,
    with_and_without,
)
from quantcore.io.imatrix import Imatrix
from quantcore.model.shipped import shipped_folder

TENSOR = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def shipped():
    return read_imatrix(shipped_folder() / "imatrix.gguf")


def test_errors_by_hand(shipped):
    fmt, weights = FORMATS["Q4_K"], open_model().weights(TENSOR)
    importance = shipped.importance(TENSOR)
    pair = with_and_without(fmt, weights, importance)
    for place, by in enumerate((None, importance)):
        error = (fmt.dequantize(fmt.quantize(weights, by)) - weights).astype(np.float64)
        plain = np.sqrt((error**2).sum() / (weights.astype(np.float64) ** 2).sum())
        counted = (importance * error**2).sum() / (
            importance * weights.astype(np.float64) ** 2
        ).sum()
        assert pair.plain[place] == pytest.approx(plain, rel=1e-5)
        assert pair.weighted[place] == pytest.approx(np.sqrt(counted), rel=1e-5)
    assert pair.weighted[1] < 0.6 * pair.weighted[0]
    assert pair.plain[1] > pair.plain[0]


def test_one_block_is_part_of_the_row(shipped):
    fmt, weights = FORMATS["Q5_0"], open_model().weights(TENSOR)
    importance = shipped.importance(TENSOR)
    both = block_with_and_without(fmt, weights[7], importance, 3)
    whole = fmt.dequantize(fmt.quantize(weights, importance))
    np.testing.assert_array_equal(both.with_it, whole[7, 96:128])
    np.testing.assert_array_equal(both.weights, weights[7, 96:128])
    np.testing.assert_array_equal(both.importance, importance[96:128])
    assert both.errors.weighted[1] <= both.errors.weighted[0]
    assert both.n_changed == (both.without != both.with_it).sum() > 0


def test_nothing_to_lose():
    flat = with_and_without(FORMATS["Q4_K"], np.zeros((2, 256), np.float32), np.ones(256, "f4"))
    assert flat == Pair((0.0, 0.0), (0.0, 0.0))
    assert loudest_share(np.zeros(4, np.float32)) == 0


def test_the_loudest_column():
    importance = np.ones(200, np.float32)
    importance[5] = 100
    most = loudest(importance)
    assert (most.column, most.over_median) == (5, 100.0)
    assert most.share == pytest.approx(101 / 299)
    assert loudest(np.float32([0, 0, 0, 1])).over_median is None


def test_only_entries_that_fit_count():
    sums = {"a": np.float32([[1, 3]]), "b": np.float32([[1, 1, 1]]), "c": np.float32([[1, 1]])}
    imatrix = Imatrix(sums=sums, counts=dict.fromkeys(sums, np.float32([1])))
    tensors = {name: SimpleNamespace(shape=(5, 2)) for name in ("a", "b", "d")}
    model = SimpleNamespace(quantizable=list(tensors), tensors=tensors)
    assert loudest_shares(model, imatrix) == {"a": 0.75}
