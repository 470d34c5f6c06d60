"""Which types are shown first: the smallest that is gentle, and the smallest of all."""

from dataclasses import dataclass

import pytest

from quantcore.evaluate.gentle import gentle_and_harsh


@dataclass
class Measured:
    """What the choice looks at, of a drift."""

    weights_bytes: int
    mean_kl_divergence: float
    sure_tokens_changed: float


DRIFTS = {
    "Q2_K": Measured(300, 0.8, 0.08),
    "Q8_0": Measured(850, 1e-4, 0.0),
    "Q4_K": Measured(450, 0.02, 0.006),
    "Q4_0": Measured(450, 0.03, 0.009),
    "F16": Measured(1600, 0.0, 0.0),
}


def test_the_smallest_gentle_one_and_the_smallest_of_all():
    assert gentle_and_harsh(DRIFTS) == ("Q4_K", "Q2_K")
    assert gentle_and_harsh({name: DRIFTS[name] for name in ("Q8_0", "F16")}) == ("Q8_0", "Q8_0")


def test_where_none_is_gentle_it_is_the_closest():
    harsh = {"Q2_K": DRIFTS["Q2_K"], "Q3_K": Measured(400, 0.5, 0.05)}
    assert gentle_and_harsh(harsh) == ("Q3_K", "Q2_K")


def test_types_that_change_nothing_are_all_there_is():
    exact = {"F32": Measured(3200, 0.0, 0.0), "F16": DRIFTS["F16"]}
    assert gentle_and_harsh(exact) == ("F32", "F16")
    with pytest.raises(ValueError, match="no type to choose from"):
        gentle_and_harsh({})
