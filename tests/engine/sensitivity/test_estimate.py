"""What a sweep will take is what it has left to do: pieces, and guides."""

import pytest

from quantcore import open_model
from quantcore.sensitivity.estimate import GUIDE_PIECES, estimate_sweep
from quantcore.sensitivity.measure import Settings
from quantcore.sensitivity.pieces import checked_formats
from quantcore.sensitivity.results import Sensitivity, shipped

SETTINGS = Settings(formats=("Q4_K", "Q8_0"), tokens=1000, context=64)


@pytest.fixture(scope="module")
def model():
    return open_model()


def _part(n_effects, n_guides):
    whole, part = shipped(), Sensitivity(shipped().source)
    effects = [
        effect
        for effect in whole.effects
        if effect.format in SETTINGS.formats
        and effect.how == "alone"
        and effect.group in ("tensor", "all")
    ]
    for effect in effects[:n_effects]:
        part.add(effect)
    for guide in [g for g in whole.guides if g.format in SETTINGS.formats][:n_guides]:
        part.add_guide(guide)
    return part


def test_what_is_known_is_not_counted_again(model):
    n_pieces, n_guides = 2 * (len(model.quantizable) + 1), 2 * len(model.quantizable)
    new = estimate_sweep(model, SETTINGS, guides=True)
    assert (new.n_pieces, new.n_known, new.n_guides) == (n_pieces, 0, n_guides)
    assert (new.tokens, new.context) == (960, 64)
    for n_effects, guides_known in ((10, 0), (n_pieces, 1), (n_pieces, n_guides)):
        left = estimate_sweep(model, SETTINGS, _part(n_effects, guides_known), guides=True)
        assert (left.n_known, left.n_guides) == (n_effects, n_guides - guides_known)
        work = n_pieces - n_effects + GUIDE_PIECES * (guides_known < n_guides)
        share = left.core_seconds / new.core_seconds
        assert share == pytest.approx(work / (n_pieces + GUIDE_PIECES))
    assert left.core_seconds == 0
    assert estimate_sweep(model, SETTINGS, _part(n_pieces, 0)).n_guides == 0  # none are wanted


def test_questions_take_their_time(model):
    asked = Settings(formats=SETTINGS.formats, tokens=1000, context=64, questions=1)
    plain, more = estimate_sweep(model, SETTINGS), estimate_sweep(model, asked)
    assert more.core_seconds > plain.core_seconds
    counted = estimate_sweep(model, asked, n_question_tokens=1000)
    assert counted.core_seconds == pytest.approx(2 * plain.core_seconds)


def test_what_cannot_be_estimated_is_one_sentence(model):
    with pytest.raises(ValueError, match="how many tokens"):
        estimate_sweep(model, Settings())
    with pytest.raises(ValueError, match="Q5_9"):
        checked_formats(model, ["Q5_9"])
    with pytest.raises(ValueError, match="Q5_9"):
        estimate_sweep(model, Settings(formats=["Q5_9"], tokens=1000))
