"""Statistics of a tensor, against what pure Python and known distributions say."""

import math
import statistics as slow

import numpy as np
import pytest

from quantcore.evaluate import statistics as st


def test_moments_equal_pure_pythons():
    weights = np.random.default_rng(1).normal(0.2, 0.5, (7, 33)).astype(np.float32)
    statistics, values = st.tensor_statistics(weights), [float(w) for w in weights.flat]
    mean, deviation = slow.fmean(values), slow.pstdev(values)
    kurtosis = slow.fmean(((v - mean) / deviation) ** 4 for v in values) - 3
    assert statistics.mean == pytest.approx(mean)
    assert statistics.standard_deviation == pytest.approx(deviation)
    assert statistics.excess_kurtosis == pytest.approx(kurtosis)
    assert (statistics.minimum, statistics.maximum) == (min(values), max(values))


def test_chunks_do_not_change_the_result(monkeypatch):
    weights = np.random.default_rng(2).standard_t(4, 5000).astype(np.float32)
    whole = st.tensor_statistics(weights), st.histogram(weights)[0], st.tail_shares(weights, [1, 3])
    monkeypatch.setattr(st, "CHUNK_WEIGHTS", 777)
    parts = st.tensor_statistics(weights), st.histogram(weights)[0], st.tail_shares(weights, [1, 3])
    assert parts[0].excess_kurtosis == pytest.approx(whole[0].excess_kurtosis)
    assert parts[0].outlier_share == whole[0].outlier_share
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_array_equal(parts[2], whole[2])


def test_kurtosis_tells_the_distributions_apart():
    rng = np.random.default_rng(3)
    normal = st.tensor_statistics(rng.normal(size=400_000).astype(np.float32))
    laplace = st.tensor_statistics(rng.laplace(size=400_000).astype(np.float32))
    uniform = st.tensor_statistics(rng.uniform(-1, 1, 400_000).astype(np.float32))
    assert normal.excess_kurtosis == pytest.approx(0, abs=0.05)
    assert laplace.excess_kurtosis == pytest.approx(3, abs=0.3)
    assert uniform.excess_kurtosis == pytest.approx(-1.2, abs=0.02)
    assert uniform.reach == pytest.approx(math.sqrt(3), rel=0.01)


def test_one_outlier_is_counted():
    weights = np.full(1000, 0.01, np.float32) * np.resize([1, -1], 1000)
    weights[500] = 5
    statistics = st.tensor_statistics(weights)
    assert statistics.outlier_share == 1 / 1000
    assert statistics.largest == 5


def test_equal_weights_have_no_tails():
    statistics = st.tensor_statistics(np.full((4, 4), 0.5, np.float32))
    assert statistics.standard_deviation == statistics.excess_kurtosis == statistics.reach == 0
    assert st.tensor_statistics(np.zeros(8, np.float32)).zero_share == 1


def test_histogram_holds_every_weight():
    weights = np.random.default_rng(4).normal(size=(64, 96)).astype(np.float32)
    counts, edges = st.histogram(weights, 101)
    assert counts.sum() == weights.size
    assert edges[0] == -edges[-1] == -np.abs(weights).max()
    assert edges[50] < 0 < edges[51]
    assert st.histogram(np.zeros(9, np.float32), 5)[0].tolist() == [0, 0, 9, 0, 0]


def test_tails_of_normal_weights_are_the_normal_tails():
    weights = np.random.default_rng(5).normal(size=1_500_000).astype(np.float32)
    sigmas = [0.5, 1, 2, 3]
    expected = st.normal_tail_shares(sigmas)
    np.testing.assert_allclose(st.tail_shares(weights, sigmas), expected, rtol=0.02)
    np.testing.assert_allclose(expected, [0.6171, 0.3173, 0.0455, 0.0027], atol=5e-5)


def test_tails_fall_from_one_to_nothing():
    weights = np.random.default_rng(6).standard_t(3, 10_000).astype(np.float32)
    shares = st.tail_shares(weights, np.linspace(0, 1000, 50))
    assert shares[0] == 1
    assert shares[-1] == 0
    assert (np.diff(shares) <= 0).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_ranges_are_those_of_rows_and_columns(axis):
    weights = np.random.default_rng(7).normal(size=(6, 10)).astype(np.float32)
    lines = weights if axis == 0 else weights.T
    ranges = st.ranges(weights, axis)
    np.testing.assert_array_equal(ranges.minimum, [min(line) for line in lines])
    np.testing.assert_array_equal(ranges.maximum, [max(line) for line in lines])
    rms = [math.sqrt(slow.fmean(float(w) ** 2 for w in line)) for line in lines]
    np.testing.assert_allclose(ranges.spread, rms, rtol=1e-6)


def test_merged_ranges_lose_no_outlier():
    weights = np.zeros((1000, 4), np.float32)
    weights[777, 2] = -9
    ranges = st.ranges(weights, 0, at_most=100)
    assert ranges.first.size == 100
    assert ranges.minimum.min() == -9
    assert ranges.first[ranges.minimum.argmin()] == 770
    assert ranges.widest == 777


def test_merging_rows_changes_neither_the_widest_nor_the_median():
    weights = np.random.default_rng(8).standard_t(3, (1000, 4)).astype(np.float32)
    every, merged = st.ranges(weights, 0, at_most=1000), st.ranges(weights, 0, at_most=10)
    reach = np.abs(weights).max(axis=1)
    for ranges in (every, merged):
        assert ranges.widest == reach.argmax()
        assert ranges.widest_to_median == pytest.approx(reach.max() / np.median(reach))


@pytest.mark.parametrize("bad, says", [(np.nan, "nan"), (np.inf, "inf")])
def test_broken_weights_are_refused(bad, says):
    weights = np.ones((2, 3), np.float32)
    weights[1, 1] = bad
    for describe in (st.tensor_statistics, st.histogram, lambda w: st.ranges(w, 0)):
        with pytest.raises(ValueError, match=says):
            describe(weights)


def test_an_empty_tensor_is_refused():
    with pytest.raises(ValueError, match="empty"):
        st.tensor_statistics(np.empty((0, 4), np.float32))


def test_the_widest_row_stands_out():
    weights = np.full((5, 4), 0.5, np.float32)
    weights[3, 1] = -2
    rows, columns = st.ranges(weights, 0), st.ranges(weights, 1)
    assert rows.reach.tolist() == [0.5, 0.5, 0.5, 2, 0.5]
    assert (rows.widest, columns.widest) == (3, 1)
    assert rows.widest_to_median == columns.widest_to_median == 4
    assert st.ranges(np.zeros((3, 3), np.float32), 0).widest_to_median == 0
    lone = np.zeros((5, 4), np.float32)
    lone[0, 0] = 1
    assert st.ranges(lone, 0).widest_to_median == 1  # the median row is all zeros
