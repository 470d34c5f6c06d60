"""Which skills break, where, and which hold out."""

from quantcore.evaluate.skill_loss import Break, breaks, levels, unbroken
from quantcore.evaluate.skills import SkillScore


def _scores(**shares):
    return [
        SkillScore(*key.rsplit("_", 1), round(100 * share), 100) for key, share in shares.items()
    ]


SCORES = {
    "F32": _scores(facts_hard=0.9, facts_easy=1.0, chain_hard=0.8, sums_hard=0.3),
    "Q4_K": _scores(facts_hard=0.7, facts_easy=1.0, chain_hard=0.75, sums_hard=0.3),
    "Q2_K": _scores(facts_hard=0.2, facts_easy=0.95, chain_hard=0.4, sums_hard=0.25),
}


def test_a_skill_breaks_once_in_the_gentlest_type_that_loses_a_tenth():
    assert breaks(SCORES) == [
        Break("facts", "hard", "Q4_K", 0.9, 0.7),
        Break("chain", "hard", "Q2_K", 0.8, 0.4),
    ]


def test_of_one_type_the_greatest_loss_comes_first():
    only = {"F32": SCORES["F32"], "Q2_K": SCORES["Q2_K"]}
    assert [(each.skill, each.type) for each in breaks(only)] == [
        ("facts", "Q2_K"),
        ("chain", "Q2_K"),
    ]
    turned = {"F32": _scores(a_hard=1.0, b_hard=1.0), "Q2_K": _scores(a_hard=0.5, b_hard=0.2)}
    assert [each.skill for each in breaks(turned)] == ["b", "a"]


def test_what_was_never_mastered_does_not_hold_out():
    assert unbroken(SCORES) == [("facts", "easy")]


def test_easy_comes_before_hard():
    assert levels(SCORES["F32"])[:2] == [("facts", "easy"), ("facts", "hard")]


def test_nothing_breaks_where_nothing_is_compared():
    assert breaks({"F32": SCORES["F32"]}) == []
