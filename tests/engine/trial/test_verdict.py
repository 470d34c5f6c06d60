"""Verdicts: against published intervals, brute force, and what they promise."""

import math
from itertools import product

import numpy as np
import pytest

from quantcore.trial.verdict import Z_90, Z_95, _score, _worse_share, interval, mcnemar, verdict


@pytest.mark.parametrize(
    ("better", "worse", "n", "low", "high", "p"),
    [  # Fagerland, Lydersen, Laake, Recommended tests ... for paired binomial proportions, 2014
        (1, 7, 21, -0.517, -0.026, 0.0703),
        (59, 6, 161, 0.245, 0.413, 5e-12),
    ],
)
def test_published_intervals_come_out(better, worse, n, low, high, p):
    assert interval(better, worse, n) == pytest.approx((low, high), abs=5e-4)
    assert mcnemar(better, worse) == pytest.approx(p, rel=0.01)


@pytest.mark.parametrize("n", range(9))
def test_p_values_are_shares_of_all_ways_in_which_coins_can_fall(n):
    heads = [sum(coins) for coins in product((0, 1), repeat=n)]
    for better in range(n + 1):
        as_uneven = [abs(2 * h - n) >= abs(2 * better - n) for h in heads]
        assert mcnemar(better, n - better) == pytest.approx(sum(as_uneven) / len(heads))


def test_p_values_of_thousands_are_numbers():
    assert 0 < mcnemar(600, 900) < 1e-10
    assert mcnemar(749, 751) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("better", "worse", "n"), [(3, 9, 40), (0, 5, 30), (7, 0, 12), (0, 0, 8)])
@pytest.mark.parametrize("difference", [-0.4, -0.1, 0.0, 0.15, 0.5])
def test_the_other_share_is_the_most_likely_one(better, worse, n, difference):
    shares = np.linspace(0, 1, 200_001)
    gains, stays = shares + difference, 1 - 2 * shares - difference
    shares = shares[(gains >= 0) & (stays >= -1e-12)]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [
            count * np.log(np.maximum(share, 0)) if count else np.zeros(len(shares))
            for count, share in (
                (better, shares + difference),
                (worse, shares),
                (n - better - worse, 1 - 2 * shares - difference),
            )
        ]
    likeliest = shares[np.argmax(np.sum(logs, axis=0))]
    assert _worse_share(better, worse, n, difference) == pytest.approx(likeliest, abs=2e-5)


@pytest.mark.parametrize(("better", "worse", "n"), [(3, 9, 40), (0, 5, 30), (12, 2, 50), (0, 0, 9)])
def test_an_interval_holds_what_the_score_does_not_reject(better, worse, n):
    low, high = interval(better, worse, n)
    assert low <= (better - worse) / n <= high
    assert abs(_score(better, worse, n, low)) == pytest.approx(Z_95, rel=1e-6)
    assert abs(_score(better, worse, n, high)) == pytest.approx(Z_95, rel=1e-6)
    assert interval(worse, better, n) == pytest.approx((-high, -low))


def test_intervals_hold_the_truth_as_often_as_they_say():
    draw, n, chances = np.random.default_rng(3), 60, (0.06, 0.14, 0.8)
    counts = draw.multinomial(n, chances, 3000)
    held = [low <= -0.08 <= high for low, high in (interval(b, w, n) for b, w, _ in counts)]
    assert 0.935 < np.mean(held) < 0.97


def _answers(better, worse, both, neither):
    original = [False] * better + [True] * (worse + both) + [False] * neither
    quantized = [True] * better + [False] * worse + [True] * both + [False] * neither
    return original, quantized


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((0, 0, 200, 0), "yes"),
        ((5, 0, 50, 5), "yes"),
        ((0, 12, 80, 8), "no"),
        ((0, 1, 29, 0), None),
    ],
)
def test_as_good_within_a_margin(counts, says):
    found = verdict(*_answers(*counts), 0.02)
    assert found.as_good == (says or "cannot tell yet")
    assert (found.better, found.worse) == counts[:2]
    assert (found.more_prompts == 0) == (says is not None)


@pytest.mark.parametrize("counts", [(0, 1, 29, 0), (2, 3, 40, 15), (0, 0, 20, 0), (4, 9, 60, 7)])
def test_so_many_more_prompts_decide_and_hardly_fewer(counts):
    n = sum(counts)
    found = verdict(*_answers(*counts), 0.02)

    def decided(more):
        times = (n + more) / n
        low, high = interval(counts[0] * times, counts[1] * times, n + more, Z_90)
        return low > -0.02 or high < -0.02

    assert decided(found.more_prompts) and not decided(found.more_prompts - 2)


def test_no_number_of_prompts_decides_on_the_margin_itself():
    assert verdict(*_answers(0, 2, 98, 0), 0.02).more_prompts is None


@pytest.mark.parametrize("margin", [0, 1, -0.1, math.nan])
def test_what_is_no_margin_is_refused(margin):
    with pytest.raises(ValueError, match="margin must be above 0"):
        verdict([True], [True], margin)


def test_answers_of_one_alone_are_refused():
    with pytest.raises(ValueError, match="both have answered"):
        verdict([True, True], [True], 0.02)
