"""Findings follow the numbers, and each case has a sentence of its own."""

import numpy as np
import pytest

from pages.drift import reading_words, skills, sureness_words
from pages.drift import words as drift_words
from pages.home import words as home_words
from pages.shared import ranking
from pages.shared.palette import LIGHT, harm_colour
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.reading import Continuations, Parting
from quantcore.evaluate.skills import SkillScore
from quantcore.evaluate.sureness import SureBin
from quantcore.model.original import Original

ORIGINAL = Original(stored_as="BF16", n_bytes=16_000, bits_per_weight=16.0)


def _table(**divergences):
    rows = [
        {
            "type": name,
            "weights_bytes": 8000 - 500 * i,
            "mean_kl_nats": kl,
            "median_kl_nats": kl / 10,
            "kl_99_9_nats": 20 * kl,
            "perplexity": 2.0 + kl,
            "perplexity_change_percent": 50 * kl,
            "sure_tokens_changed": min(kl, 1.0) / 10,
        }
        for i, (name, kl) in enumerate(sorted(divergences.items(), key=lambda pair: pair[1]))
    ]
    return [
        {"type": "original, BF16", "mark": False, "perplexity": 2.0, "mean_kl_nats": 0.0},
        *rows,
    ]


def test_granularity_compares_the_three_spans():
    said = drift_words.granularity(_table(INT4_TENSOR=0.4, INT4_ROW=0.1, INT4_G128=0.05))
    assert "**8.0 times**" in said and "between, at 2.0 times" in said
    assert drift_words.granularity(_table(INT4_TENSOR=0.4, INT4_ROW=0.1)) is None
    assert "hardly matters" in drift_words.granularity(
        _table(INT4_TENSOR=0.11, INT4_ROW=0.1, INT4_G128=0.1)
    )
    assert "no further" in drift_words.granularity(
        _table(INT4_TENSOR=0.4, INT4_ROW=0.1, INT4_G128=0.1)
    )


@pytest.mark.parametrize(
    ("table", "chosen", "part"),
    [
        (_table(Q8_0=1e-4, Q2_K=0.4), "Q2_K", "4,000 times as much as Q8_0"),
        (_table(Q8_0=1e-4, Q2_K=0.4), "Q8_0", "the least of these types"),
        (_table(Q8_0=1e-4, Q6_K=1.05e-4), "Q6_K", "hardly more than Q8_0"),
        (_table(F16=0.0, Q2_K=0.4), "F16", "changes nothing"),
        (_table(F16=0.0, Q2_K=0.4), "Q2_K", "**0.40** nats per token."),
        (_table(Q8_0=1e-4, Q2_K=0.4), "Q3_K", "not been measured here yet. From **Q8_0**"),
        (_table(Q2_K=0.4), "Q2_K", "**0.40** nats per token."),
    ],
)
def test_cost_has_a_sentence_for_each_case(table, chosen, part):
    assert part in drift_words.cost(table, chosen)


def test_which_types_are_mixes_is_said():
    which = lambda *names: ranking.which(_table(**dict.fromkeys(names, 0.1)))  # noqa: E731
    assert which("Q4_K pure", "INT4_ROW") == "Each type puts the same format on every matrix."
    assert which("Q2_K", "Q4_K_M").startswith("Names such as Q4_K_M are llama-quantize’s mixes")
    assert "one format" not in which("Q2_K", "Q4_K_M")
    both = which("Q4_K_M", "Q4_K pure")
    assert "such as Q4_K_M are" in both
    assert both.endswith("Names such as Q4_K pure put the same format on every matrix.")


def test_mixes_are_laid_beside_mixes():
    published = {
        "model": "Large",
        "text": "text",
        "source": "source",
        "floor_kl_nats": 1e-4,
        "formats": [{"format": "Q4_K_M", "kl_nats": 0.04}],
    }
    said = ranking.small_and_large(_table(**{"Q4_K_M": 0.01}), published)
    assert "In Q4_K_M the large model drifts 4.0 times further" in said
    assert "In Q4_K_M" not in ranking.small_and_large(_table(**{"Q4_K pure": 0.01}), published)


def test_tail_tells_whether_the_mean_hides_one():
    assert "the mean hides a tail" in drift_words.tail(_table(Q2_K=0.4), "Q2_K")
    assert "changes no prediction" in drift_words.tail(_table(F16=0.0), "F16")


def _skills(**shares):
    return [
        SkillScore(*key.rsplit("_", 1), round(100 * share), 100) for key, share in shares.items()
    ]


SKILLS = {
    "F32": _skills(facts_easy=1.0, facts_hard=0.9, chain_hard=0.8),
    "Q4_K": _skills(facts_easy=1.0, facts_hard=0.7, chain_hard=0.75),
    "Q2_K": _skills(facts_easy=0.95, facts_hard=0.2, chain_hard=0.4),
}


def test_the_first_skill_to_break_is_named():
    said = drift_words.first_to_break(SKILLS)
    assert "**hard facts**: in Q4_K, the right answers fall from 90 to **70 in 100**" in said
    assert "In easy facts, no type loses as many as ten." in said
    same = {"F32": SKILLS["F32"], "Q8_0": SKILLS["F32"]}
    assert drift_words.first_to_break(same).endswith("not even in Q8_0.")
    hard = {name: [s for s in scores if s.level == "hard"] for name, scores in SKILLS.items()}
    assert "hard chain is the last, in Q2_K" in drift_words.first_to_break(hard)


def test_what_breaks_names_types_from_the_gentlest_to_the_one_that_leaves_nothing():
    said = drift_words.what_breaks(SKILLS)
    assert said.startswith("**Q4_K** takes hard facts from 90 to **70 right answers in 100** and ")
    assert said.endswith("Q2_K takes hard facts from 90 to 20.")
    gone = {"TQ1_0": _skills(facts_easy=0.05, facts_hard=0.0, chain_hard=0.02)}
    same = {"F32": SKILLS["F32"], "Q8_0": SKILLS["F32"]}
    assert drift_words.what_breaks(same) is None
    assert drift_words.what_breaks(same | gone) == (
        "**TQ1_0 leaves nothing**; types that drift less break no skill."
    )
    assert drift_words.what_breaks({"F32": SKILLS["F32"]} | gone) == "**TQ1_0 leaves nothing**."
    both = drift_words.what_breaks(
        same | {"Q2_K": SKILLS["Q2_K"]} | gone | {"TQ2_0": gone["TQ1_0"]}
    )
    assert both.endswith("**20 right answers in 100**, and TQ1_0 and TQ2_0 leave nothing; types "
                         "that drift less break no skill.")  # fmt: skip


def test_home_names_the_type_that_changes_most_of_what_the_model_was_sure_of():
    table = _table(Q6_K=0.001, IQ1_S=0.5, TQ1_0=0.4)
    said = home_words.at_a_glance(table, ORIGINAL, "Q6_K", "IQ1_S")
    assert "; TQ1_0" not in said
    table[2]["sure_tokens_changed"] = 0.94
    said = home_words.at_a_glance(table, ORIGINAL, "Q6_K", "IQ1_S")
    assert said.endswith("; TQ1_0 changes 94 in 100.")
    assert "; TQ1_0" not in home_words.at_a_glance(table, ORIGINAL, "Q6_K", "TQ1_0")


def test_the_table_of_skills_is_coloured_by_what_was_lost():
    original, *others = skills.rows(SKILLS)
    assert (original["type"], original["mark"]) == ("original", False)
    assert [row["type"] for row in others] == ["Q4_K", "Q2_K"]
    columns = {column.key: column for column in skills.columns(SKILLS["F32"], LIGHT)}
    assert list(columns) == ["type", "facts_easy", "facts_hard", "chain_hard"]
    hard = columns["facts_hard"]
    assert hard.show(others[1]["facts_hard"]) == "20"
    assert hard.fill(others[1]) == harm_colour(0.7, LIGHT) != hard.fill(original)


def _read(kl):
    kl = np.array(kl, np.float32)
    n = len(kl)
    one, zero = np.full(n, 0.5, np.float32), np.zeros(n, np.int32)
    return TokenDrift(
        position=zero,
        start=zero,
        token=zero,
        scored=np.ones(n, bool),
        nll=one,
        base_nll=one,
        kl=kl,
        top_token=np.arange(n, dtype=np.int32),
        base_top_token=zero,
        base_top_probability=np.array([0.9] * (n - 1) + [0.3], np.float32),
    )


def test_unevenness_names_the_heaviest_token():
    words = [f" w{i}" for i in range(20)]
    said = reading_words.unevenness(_read([0.1] * 19 + [5.0]), words, "Q2_K")
    assert "“w19”" in said and "74" in said
    assert "stay the same" in reading_words.unevenness(_read([0.0] * 20), words, "F16")


def test_only_sure_tokens_are_underlined():
    tokens = reading_words.tokens(_read([0.1, 0.2, 4.0]), ["a", "b", "c"], str)
    assert [token.flipped for token in tokens] == [False, True, False]  # same, sure, unsure
    assert tokens[2].share == 1.0 and 0 < tokens[0].share < tokens[1].share < 1


def test_parting_tells_a_tie_from_a_change_of_mind():
    decode = "".join
    near = Continuations(
        ["p"], ["a", "b"], ["a", "c"], Parting(1, "b", "c", (0.3, 0.29), (0.2, 0.4))
    )
    headline, note = reading_words.parting(near, decode, "Q2_K")
    assert "the same 1 token and then “c” where the original writes “b”" in headline
    assert "a near tie" in note and "20\u202f% and 40\u202f%" in note
    far = Continuations(["p"], ["b"], ["c"], Parting(0, "b", "c", (0.9, 0.01), (0.2, 0.4)))
    headline, note = reading_words.parting(far, decode, "Q2_K")
    assert "at once" in headline and "no tie" in note
    same = Continuations(["p"], ["a", "b"], ["a", "b"], None)
    assert "the same 2 tokens" in reading_words.parting(same, decode, "Q2_K")[0]


def test_home_says_what_a_gentle_and_a_harsh_type_cost():
    table = _table(Q8_0=1e-4, Q4_K=0.05, Q2_K=0.8)
    said = home_words.at_a_glance(table, ORIGINAL, "Q4_K", "Q2_K")
    assert "1 in 200 of the tokens" in said and "1 in 12" in said


@pytest.mark.parametrize(("ratio", "says"), [
    (0.5, "2.0 times smaller"), (1.48, "1.5 times as large"), (0.99, "about as large as it is"),
    (1.02, "about as large as it is"),
])  # fmt: skip
def test_home_does_not_call_a_larger_file_smaller(ratio, says):
    table = _table(Q8_0=1e-4)
    table[-1]["weights_bytes"] = ratio * ORIGINAL.n_bytes
    assert says in home_words.at_a_glance(table, ORIGINAL, "Q8_0", "Q8_0")


def test_anatomy_tells_who_carries_more_than_its_share():
    shares = {"a.weight": 0.9, "b.weight": 0.1}
    assert "but causes **90" in home_words.anatomy(shares, {"a.weight": 10, "b.weight": 90}, "Q2_K")
    fair = home_words.anatomy(shares, {"a.weight": 90, "b.weight": 10}, "Q2_K")
    assert "no more than its share" in fair


def test_a_sample_ends_with_its_second_sentence():
    said = home_words.sample("Nora hid the key.", " She left. It rained. Then")
    assert said == "Given “Nora hid the key.”, it continues: “She left. It rained.”"
    assert home_words.sample("a", " b c").endswith("“b c”")


def _bins(*divergences, tokens=10):
    edges = (0.0, 0.5, 1.0)
    return [
        SureBin(
            low=low,
            high=high,
            tokens=tokens,
            mean_kl_divergence=kl,
            mean_kl_divergence_error=0.0,
            share_of_divergence=0.0,
            changed=0.0,
        )
        for low, high, kl in zip(edges, edges[1:], divergences, strict=False)
    ]


@pytest.mark.parametrize(
    ("bins", "floor", "said"),
    [
        (
            _bins(0.3, 0.01),
            _bins(2e-5, 1e-5),
            "under 50 %, **Q4_0** diverges by **0.30** nats; where it gave 50 % or more, by 0.010, "
            "30 times less. Over all, the noise floor is 10,333 times lower.",
        ),
        (_bins(0.3, 0.4), [], "50 % or more, by 0.40: no less."),
        (_bins(0.3, 0.0), [], "50 % or more, not at all."),
        (_bins(1e-8, 1e-8), _bins(1e-5, 1e-5), "below the noise floor."),
        (_bins(0.0, 0.0), _bins(1e-5, 1e-5), "**Q4_0** moves no prediction"),
        (_bins(0.3), [], "**Q4_0** diverges by **0.30** nats."),
    ],
)
def test_divergence_by_sureness(bins, floor, said):
    assert said in sureness_words.finding("Q4_0", bins, floor)
    assert ("Dashed" in sureness_words.how_to_read(floor)) == bool(floor)
