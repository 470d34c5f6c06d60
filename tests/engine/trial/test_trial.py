"""Versions answer prompts: what they say, how likely they find it, and what a trial keeps of it."""

import csv
import io
from html.parser import HTMLParser

import numpy as np
import pytest

from quantcore.evaluate.quantized import llama_of
from quantcore.model.sampling import continue_greedily
from quantcore.model.source import open_model
from quantcore.progress import result_of
from quantcore.trial.answering import Sampling, answer, log_probability
from quantcore.trial.prompts import TestPrompt, shipped_prompts
from quantcore.trial.report import answers, summary, to_csv, to_html
from quantcore.trial.trial import Asked, trial_steps
from tests.support.toy_model import CONFIG, write_folder

GREEDY = Sampling(n_tokens=8)
HOT = Sampling(n_tokens=8, temperature=1.5, seed=3)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    return open_model(write_folder(tmp_path_factory.mktemp("trial") / "toy", wide))


@pytest.fixture(scope="module")
def shipped():
    prompts = [*shipped_prompts(6), TestPrompt(prompt="=One day")]
    asked = [Asked(type="Q8_0"), Asked(type="IQ1_S")]
    return result_of(trial_steps(open_model(), prompts, asked, Sampling(n_tokens=6)))


def _prompt(model, text="The tailor and"):
    tokens = model.tokenizer.encode(text)
    return np.concatenate([[model.tokenizer.bos_id], tokens]).astype(np.int32)


def test_greedy_answers_are_the_most_probable_tokens():
    model = open_model()
    llama, prompt = llama_of(model), _prompt(model)
    *_, said = answer(llama, prompt, GREEDY, 0, None)
    steps = [step.token for step in continue_greedily(llama, prompt, 8)]
    assert list(said.tokens) == steps
    assert 0 < said.first_seconds < said.seconds and said.seconds_per_token > 0


def test_sampled_answers_follow_seed_and_prompt_and_nothing_else(toy):
    llama, prompt = llama_of(toy), _prompt(toy)

    def say(sampling, number=0):
        *_, said = answer(llama, prompt, sampling, number, None)
        return said.tokens

    assert say(HOT) == say(HOT) != say(GREEDY)
    assert say(HOT) != say(Sampling(n_tokens=8, temperature=1.5, seed=4))
    assert say(HOT) != say(HOT, number=1)


def test_draws_are_as_probable_as_the_model_says(toy):
    llama, prompt = llama_of(toy), _prompt(toy)
    logits = llama.logits(prompt)[-1].astype(np.float64)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    one = Sampling(n_tokens=1, temperature=1.0)
    drawn = [next(answer(llama, prompt, one, number, None)).tokens[0] for number in range(600)]
    top = int(chances.argmax())
    spread = np.sqrt(chances[top] * (1 - chances[top]) / 600)
    assert abs(np.mean(np.array(drawn) == top) - chances[top]) < 4 * spread


def test_the_end_of_a_text_ends_an_answer(toy):
    llama, prompt = llama_of(toy), _prompt(toy)
    first = next(answer(llama, prompt, GREEDY, 0, None)).tokens[0]
    (said,) = answer(llama, prompt, GREEDY, 0, first)
    assert said.ended and said.tokens == () and log_probability(llama, prompt, ()) is None


def test_a_probability_is_that_of_each_token_after_those_before(toy):
    llama, prompt = llama_of(toy), _prompt(toy)
    said = [7, 33, 5]
    logs = []
    for place, token in enumerate(said):
        logits = llama.logits(np.concatenate([prompt, said[:place]]).astype(np.int32))[-1]
        logits = logits.astype(np.float64)
        logs.append(logits[token] - np.log(np.exp(logits).sum()))
    assert log_probability(llama, prompt, said) == pytest.approx(np.mean(logs), abs=1e-5)


def test_a_version_that_stores_everything_says_the_same(toy):
    prompts = [TestPrompt(prompt="A day", expected="x"), TestPrompt(prompt="The night")]
    for sampling in (GREEDY, HOT):
        found = result_of(trial_steps(toy, prompts, [Asked(type="F32")], sampling))
        (row,) = summary(found, 0.02)
        assert row["same_answer"] == 2 and row["first_difference_median"] is None
        for mine, its in zip(found.original.answers, found.versions[0].answers, strict=True):
            assert mine.original_log_probability == its.original_log_probability
            assert mine.text == its.text == "".join(mine.pieces)
        assert found.original.answers[1].right is None
        assert found.verdict(found.versions[0], 0.02).n == 1


def test_what_a_trial_comes_to(shipped):
    close, far = summary(shipped, 0.02)
    assert (close["type"], far["type"]) == ("Q8_0", "IQ1_S")
    assert close["same_answer"] > far["same_answer"]
    assert close["original_answer_log_probability"] > far["original_answer_log_probability"]
    judged = [a for a in shipped.versions[1].answers if a.right is not None]
    assert far["matches"] == sum(a.right for a in judged) and len(judged) == 6
    assert far["difference"] == (far["better"] - far["worse"]) / 6
    different = [a.first_difference for a in shipped.versions[1].answers]
    known = sorted(place for place in different if place is not None)
    assert far["first_difference_median"] == np.median(known)


def test_answers_are_saved_as_csv(shipped):
    rows = list(csv.DictReader(io.StringIO(to_csv(shipped), newline="")))
    assert len(rows) == len(answers(shipped)) == 7 * 3
    assert rows[0]["prompt"] == shipped.prompts[0].prompt
    assert rows[0]["answer"] == shipped.original.answers[0].text
    assert rows[-1]["prompt"] == "'=One day"  # no spreadsheet runs it


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_one_page_that_needs_nothing(toy):
    hostile = "<script>alert(1)</script> & {braces}"
    prompts = [TestPrompt(prompt=hostile, expected="x"), TestPrompt(prompt="The night")]
    found = result_of(trial_steps(toy, prompts, [Asked(type="Q2_K pure")], GREEDY))
    page = _Page()
    page.feed(to_html(found, 0.02))
    assert "script" not in page.tags and not page.links and not page.open
    assert hostile in page.text
    differs = found.versions[0].answers[0].first_difference is not None
    assert ("mark" in page.tags) == any(
        a.first_difference is not None for a in found.versions[0].answers
    )
    assert differs or "mark" not in page.tags


def test_methods_choose_codes_of_a_version(toy, tmp_path):
    text = "The tailor and the dog went to the market. " * 40
    asked = [Asked(type="INT4_G32", by="gptq"), Asked(type="INT4_G32")]
    prompts = [TestPrompt(prompt="The tailor")]
    found = result_of(trial_steps(toy, prompts, asked, GREEDY, calibration=text))
    assert [version.name for version in found.versions] == ["INT4_G32 by gptq", "INT4_G32"]
    by_gptq, rounded = (v.answers[0].original_log_probability for v in found.versions)
    assert by_gptq != rounded


@pytest.mark.parametrize(
    ("prompts", "types", "says"),
    [
        ([], ["Q8_0"], "needs prompts"),
        (["a"], [], "at least one version"),
        (["a"], ["Q8_0", "q8_0"], "the same"),
        (["a"], ["Q9_9"], "Q9_9"),
        (["word " * 4000], ["Q8_0"], "takes at most"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_any_work(toy, prompts, types, says):
    prompts = [TestPrompt(prompt=each) for each in prompts]
    with pytest.raises(ValueError, match=says):
        trial_steps(toy, prompts, [Asked(type=each) for each in types], GREEDY)


@pytest.mark.parametrize(
    "settings", [{"n_tokens": 0}, {"n_tokens": 1001}, {"temperature": -1}, {"seed": -1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be|may have"):
        Sampling(**settings)
