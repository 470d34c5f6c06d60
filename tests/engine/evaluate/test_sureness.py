"""Divergence by how sure the original was."""

from itertools import pairwise

import numpy as np
import pytest

from quantcore.evaluate import measured
from quantcore.evaluate.sureness import EDGES, SureBin, by_sureness, sureness_of


def test_bins_by_hand():
    kl = np.array([0.1, 0.3, 0.2, 0.0, 0.4])
    top = np.float32([0.2, 0.25, 0.3, 0.5, 1.0])  # an edge belongs to the bin above it
    changed = np.array([True, False, True, False, False])
    low, middle, high = by_sureness(kl, top, changed, (0, 0.25, 0.5, 1))
    assert low == SureBin(
        low=0,
        high=0.25,
        tokens=1,
        mean_kl_divergence=0.1,
        mean_kl_divergence_error=0.0,
        share_of_divergence=pytest.approx(0.1),
        changed=1.0,
    )
    assert (middle.tokens, middle.mean_kl_divergence, middle.changed) == (2, 0.25, 0.5)
    assert middle.mean_kl_divergence_error == pytest.approx(0.05)
    assert (high.tokens, high.share_of_divergence) == (2, pytest.approx(0.4))


def test_what_is_empty_is_zero():
    bins = by_sureness(np.zeros(3), np.float32([0.1, 0.1, 0.99]), np.zeros(3, bool))
    assert [each.tokens for each in bins] == [2, 0, 0, 0, 1]
    assert {each.mean_kl_divergence for each in bins} == {0}
    assert {each.share_of_divergence for each in bins} == {0}
    assert [(each.low, each.high) for each in bins] == [*pairwise(EDGES)]


def test_bins_of_a_drift_make_up_its_figures():
    drift = measured.load().drifts["Q2_K"]
    bins = sureness_of(drift.per_token)
    assert sum(each.tokens for each in bins) == drift.tokens_scored
    assert sum(each.share_of_divergence for each in bins) == pytest.approx(1)
    mean = sum(each.tokens * each.mean_kl_divergence for each in bins) / drift.tokens_scored
    assert mean == pytest.approx(drift.mean_kl_divergence, rel=2e-3)  # tokens are kept in float16
    changed = sum(each.tokens * each.changed for each in bins) / drift.tokens_scored
    assert changed == pytest.approx(1 - drift.same_top_token, abs=1e-9)
    # Where the original wavers it is moved more, and seldom where it is sure.
    assert bins[0].mean_kl_divergence > 5 * bins[-1].mean_kl_divergence
    assert bins[0].changed > 20 * bins[-1].changed
