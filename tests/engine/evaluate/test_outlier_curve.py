"""The shipped model with outlier channels loses what Llama-3-8B loses; unrounded, nothing."""

import pytest

from quantcore import open_model
from quantcore.evaluate.drift import drift_steps
from quantcore.evaluate.text import evaluation_text
from quantcore.which_type import published_figures

PUBLISHED = {row["format"]: row["kl_nats"] for row in published_figures()["formats"]}
TYPES = ("F32", "Q8_0", "Q4_K_M", "Q2_K")


@pytest.fixture(scope="module")
def by_model():
    """Drift on six chunks of the evaluation text, of the plain model and the one with outliers."""
    text = "\n".join(evaluation_text().split("\n")[:36])
    drifts = []
    for name, types in (("fable-7m", ("F32", "Q4_K_M")), ("fable-7m-outliers", TYPES)):
        *_, last = drift_steps(open_model(name), types, text)
        drifts.append(last.result.drifts)
    return drifts


def test_unrounded_it_is_the_plain_model(by_model):
    plain, mine = by_model
    assert mine["F32"].perplexity == pytest.approx(plain["F32"].perplexity, rel=1e-6)


@pytest.mark.parametrize("type", ["Q8_0", "Q4_K_M", "Q2_K"])
def test_its_divergence_is_that_of_a_large_model(by_model, type):
    mine = by_model[1][type].mean_kl_divergence
    assert PUBLISHED[type] / 1.5 < mine < PUBLISHED[type] * 1.5


def test_the_plain_model_loses_far_less(by_model):
    plain, mine = (drifts["Q4_K_M"].mean_kl_divergence for drifts in by_model)
    assert plain < mine / 20
