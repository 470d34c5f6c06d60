"""What each tensor costs of the shipped model with outlier channels: whole, its own, measured."""

import pytest

from quantcore.evaluate.text import calibration_text, cut
from quantcore.model.source import open_model
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.costs import costs
from quantcore.sensitivity.measure import Settings, read_for
from quantcore.sensitivity.pieces import DEFAULT_FORMATS, HOWS, checked_formats, pieces_of
from quantcore.sensitivity.reading import reading_of
from quantcore.sensitivity.results import shipped

NAME = "fable-7m-outliers"
AGAIN = ("tensor", "blk.6.ffn_down.weight", "alone", "Q3_K")


@pytest.fixture(scope="module")
def model():
    return open_model(NAME)


@pytest.fixture(scope="module")
def results():
    return shipped(NAME)


def test_it_is_of_these_weights_and_whole(results, model):
    results.refuse_other_model(model.name, model.fingerprint)
    source = results.source
    assert (source.text, source.tokens, source.questions) == ("calibration.txt", 8192, 20)
    assert read_for(model, Settings(tokens=source.tokens, questions=source.questions))[1] == source
    formats = checked_formats(model, DEFAULT_FORMATS)
    pieces = pieces_of(model, formats, ("tensor", "layer", "role", "all"), HOWS)
    assert all(results.has(piece) for piece in pieces)
    assert len(results.guides) == len(model.quantizable) * len(DEFAULT_FORMATS)


def test_an_effect_comes_out_again(results, model):
    chunks = cut(model, calibration_text(), 512, at_most=8192).first(16)
    bench = Bench(model, reading_of(model, chunks))
    formats = checked_formats(model, ["Q3_K"])
    (piece,) = (
        each
        for each in pieces_of(model, formats, ("tensor",), ("alone",))
        if (each.group, each.name, each.how, each.format) == AGAIN
    )
    group, name, how, format_name = AGAIN
    kept, again = results.effect(name, format_name, group, how), bench.measure(piece)
    assert kept.mean_kl_divergence == pytest.approx(again.mean_kl_divergence, rel=2e-3)


def test_the_down_projections_carry_the_damage(results):
    """There the largest columns are; in the plain model they cost no more than others."""
    alone = {name: cost.value for name, cost in costs(results, "Q4_K").items()}
    plain = {name: cost.value for name, cost in costs(shipped(), "Q4_K").items()}

    def share(each):
        return sum(v for name, v in each.items() if "ffn_down" in name) / sum(each.values())

    assert share(alone) > 2 * share(plain)
