"""What was measured of the model with outlier channels, and lies beside it."""

import pytest

from quantcore.evaluate import measured
from quantcore.memory import find_shape
from quantcore.which_type import costs_of, published_figures

NAME = "fable-7m-outliers"
PUBLISHED = {row["format"]: row["kl_nats"] for row in published_figures()["formats"]}


@pytest.fixture(scope="module")
def results():
    return measured.load(NAME)


def test_it_is_of_what_lies_there(results):
    assert not results.stale
    assert set(results.drifts) == set(results.skills) == set(measured.TYPES)


def test_unrounded_it_is_the_plain_model(results):
    mine, plain = results.drifts["F32"], measured.load().drifts["F32"]
    assert mine.perplexity == pytest.approx(plain.perplexity, abs=1e-4)
    assert results.drifts["BF16"].mean_kl_divergence == pytest.approx(0, abs=1e-9)


def test_its_curve_is_that_of_a_large_model(results):
    """Its channels were fitted to three of the types; others are as near as they came."""
    ratios = {
        name: results.drifts[name].mean_kl_divergence / theirs for name, theirs in PUBLISHED.items()
    }
    for name in ("Q8_0", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q3_K_S", "Q2_K"):
        assert 1 / 1.5 < ratios[name] < 1.5
    by_k_quants = [ratio for name, ratio in ratios.items() if "K" in name]
    assert all(1 / 2.6 < ratio < 2 for ratio in by_k_quants)
    assert max(ratios, key=ratios.__getitem__) == "Q4_1" and ratios["Q4_1"] < 6


def test_memory_knows_its_figures():
    costs = costs_of(find_shape(NAME))
    assert costs.model == NAME
    assert costs.divergence["Q4_K_M"] == measured.load(NAME).drifts["Q4_K_M"].mean_kl_divergence
