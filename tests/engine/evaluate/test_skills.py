"""Skills: a right answer is one that the continuation begins with, to the end of a word."""

import numpy as np
import pytest

from quantcore import open_model
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.skills import Question, judge, shipped_questions, skill_steps
from quantcore.model.sampling import continue_greedily
from tests.support.toy_model import write_folder


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (" barn", None),
        (" barn.", True),
        (" barn in", True),
        (" barns", False),
        (" bar", None),
        ("", None),
        (" bed", False),
        ("barn", False),
    ],
)
def test_a_word_must_end(text, verdict):
    assert judge(text, " barn") is verdict


def test_an_answer_that_ends_with_a_mark_is_complete():
    assert judge(" 12.", " 12.") is True
    assert judge(" 12", " 12.") is None


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def test_scores_count_what_the_model_says(toy):
    """Ask the random model for what it says anyway, and for something else."""
    llama = llama_of(toy)
    prompts = ["The cat", "A much longer prompt than that", "x", "Where is the barn? It is"]
    said = []
    for prompt in prompts:
        tokens = np.array([toy.tokenizer.bos_id, *toy.tokenizer.encode(prompt)])
        steps = continue_greedily(llama, tokens, 8)
        said.append(toy.tokenizer.decode([step.token for step in steps]))
    answers = [text[:3] for text in said[:3]] + ["~wrong"]
    levels = ["easy", "hard", "easy", "easy"]
    questions = [Question("echo", *row) for row in zip(levels, prompts, answers, strict=True)]
    *_, last = skill_steps(toy, llama, questions)
    whole = [judge(text, answer) is True for text, answer in zip(said, answers, strict=True)]
    counts = {score.level: (score.correct, score.total) for score in last.result}
    assert counts == {"easy": (whole[0] + whole[2] + whole[3], 3), "hard": (whole[1], 1)}
    assert sum(whole) >= 1


def test_the_shipped_questions_fill_their_table():
    questions = shipped_questions()
    rows = {(question.skill, question.level) for question in questions}
    skills = {"recall", "arithmetic", "facts", "agreement", "chain"}
    assert rows == {(skill, level) for skill in skills for level in ("easy", "hard")}
    tokenizer = open_model().tokenizer
    for question in questions:
        assert question.answer.strip()
        assert len(tokenizer.encode(question.prompt + question.answer)) < 500
    for row in rows:
        assert sum((question.skill, question.level) == row for question in questions) >= 50
