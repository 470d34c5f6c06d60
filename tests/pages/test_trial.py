"""The page Try: it opens with answers, takes prompts of one's own, and says what follows."""

import pytest

from pages.trial import words
from quantcore.model.source import open_model
from quantcore.trial.answering import Said, Sampling
from quantcore.trial.prompts import TestPrompt
from quantcore.trial.shipped import load_trial
from quantcore.trial.trial import Answer, Trial, Version
from tests.support.app import drawn_charts, findings, finish_job, said, sentences, visit

TYPED = '{"prompt": "The tailor", "pattern": "[a-z]"}\n{"prompt": "Behind the church"}'


def test_the_page_opens_with_verdicts_and_answers():
    app = visit("trial")
    assert not app.exception and not sentences(app)
    first, second = findings(app)
    assert "within 2 points" in first and "very answer" in second
    (chart,) = drawn_charts(app)
    assert chart["layout"]["yaxis"]["ticktext"] == ["Q8_0", "Q4_K_M", "Q2_K"]
    assert any("answers got" in each or "got better" in each for each in [said(app)])


def test_two_bits_are_worse_where_there_are_outlier_channels():
    first, _ = findings(visit("trial", model="fable-7m-outliers"))
    assert "**Q2_K** is worse by more than 2 points" in first


def test_a_wider_margin_is_decided_sooner():
    app = visit("trial", margin="20")
    assert "as good as the original within 20 points" in findings(app)[0]


def test_prompts_of_ones_own_are_answered(own_models):
    app = visit("trial", model="wide-toy", asked="Typed", tried="Q8_0", answer_tokens="4")
    assert findings(app) == [words.NOT_YET]
    app.text_area(key="own_prompts").set_value(TYPED).run()
    assert "2 prompts; right answers are known of 1." in said(app)
    app.button(key="run_trial").click().run()
    finish_job(app)
    assert not app.exception and not sentences(app)
    assert len(findings(app)) == 2 and drawn_charts(app)
    app.segmented_control(key="show_answers").set_value("All").run()
    table = next(each for each in _tables(app) if "Answers side by side" in each)
    assert "The tailor" in table and "right: [a-z]" in table


def _tables(app):
    return [each.proto.body for each in app.get("html")]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ('{"prompt": ', "Line 1 of your prompts is not JSON"),
        ('{"prompt": "a", "pattern": "("}', "not a regular expression"),
        ("<b>![x](http://a.b)</b>\n" * 1001, "more than 1,000 prompts"),
    ],
)
def test_what_is_no_test_set_is_one_sentence(typed, says):
    app = visit("trial", asked="Typed")
    app.text_area(key="own_prompts").set_value(typed).run()
    assert not app.exception
    assert any(says in each for each in sentences(app))
    assert app.button(key="run_trial").disabled


def test_a_prompt_that_fills_the_context_is_one_sentence():
    app = visit("trial", asked="Typed")
    app.text_area(key="own_prompts").set_value("tailor " * 2000).run()
    app.button(key="run_trial").click().run()
    assert any("takes at most" in each for each in sentences(app))


def test_shipped_answers_are_of_what_lies_there():
    for name in ("fable-7m", "fable-7m-outliers"):
        found = load_trial(name)
        assert [version.name for version in found.versions] == ["Q8_0", "Q4_K_M", "Q2_K"]
        assert len(found.original.answers) == len(found.prompts) == 150
    tokenizer = open_model().tokenizer
    for answer in found.original.answers[:20]:
        assert tokenizer.continuation(answer.said.tokens) == answer.text


def _trial(pairs):
    """Make a trial of one version: right or wrong, original and version."""

    def answered(rights, differ):
        return [
            Answer(
                text="a", pieces=("a",), said=Said(tokens=(1,)), right=right,
                first_difference=0 if differ else None, original_log_probability=-1.0,
            )
            for right in rights
        ]  # fmt: skip

    return Trial(
        model="m",
        prompts=tuple(TestPrompt(prompt="p", expected="x") for _ in pairs),
        sampling=Sampling(),
        original=Version("", answered([o for o, _ in pairs], False)),
        versions=(Version("Q4_K_M", answered([q for _, q in pairs], True)),),
    )


@pytest.mark.parametrize(
    ("pairs", "finding", "verdict"),
    [
        ([(True, True)] * 200, "**Q4_K_M** is as good as", "no answer got better or worse"),
        ([(True, False)] * 20, "**Q4_K_M** is worse by more", "0 answers got better, 20 answers"),
        ([(True, True)], "Of **Q4_K_M** 1 prompt cannot tell", "more prompts like these would"),
        (
            [(True, False), *[(True, True)] * 49],
            "50 prompts cannot tell",
            "about the margin",
        ),
        ([(None, None)] * 3, None, None),
        ([], None, None),
    ],
)
def test_sentences_follow_the_numbers(pairs, finding, verdict):
    trial = _trial(pairs)
    version = trial.versions[0]
    found = trial.verdict(version, 0.02)
    if verdict is None:
        assert found is None
        assert "no version has answered" in words.finding([], 0.02).lower()
    else:
        assert finding in words.finding([(version, found)], 0.02)
        assert verdict in words.verdict(version, found)
