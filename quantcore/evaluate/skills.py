"""What the shipped model can do, scored exactly: each prompt has one right continuation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.quantized import Type, llama_of
from quantcore.io import ModelError
from quantcore.model.llama import Llama
from quantcore.model.sampling import continue_all
from quantcore.model.shipped import shipped_folder
from quantcore.model.source import Model
from quantcore.model.tokenizer import Tokenizer
from quantcore.progress import Progress, result_of

PROMPTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and the text that a right continuation begins with."""

    skill: str  # "recall", "arithmetic", "facts", "agreement", "chain"
    level: str  # "easy" or "hard"
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class SkillScore:
    """Right answers of one skill at one level."""

    skill: str
    level: str
    correct: int
    total: int

    @property
    def share(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.correct / self.total


def shipped_questions() -> list[Question]:
    """Read the questions that ship with the lab, in the order of the file."""
    path = shipped_folder() / "skills.json"
    if not path.exists():
        raise ModelError(f"skills.json is missing in {path.parent}.")
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Question(row["skill"], row["level"], row["prompt"], row["answer"]) for row in rows]


def measure_skills(model: Model, type: Type | None = None) -> list[SkillScore]:
    """Count right answers by skill and level, of the model quantized, or as it is without `type`.

    An answer is right when the most probable continuation begins with it and the word ends there.
    Where the answer begins with a space, only continuations that do so count, for the prompt's last
    word is whole: after "the chair", the token "s" would make another prompt of it.
    """
    return result_of(skill_steps(model, llama_of(model, type)))


def skill_steps(
    model: Model, llama: Llama, questions: list[Question] | None = None
) -> Iterator[Progress[list[SkillScore]]]:
    """Score a model ready to run, in steps of `PROMPTS_AT_ONCE` prompts."""
    questions = shipped_questions() if questions is None else questions
    prompts = [_opened(model.tokenizer, question.prompt) for question in questions]
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")  # little padding
    right = np.zeros(len(questions), bool)
    inside = inside_words(model)
    for start in range(0, len(order), PROMPTS_AT_ONCE):
        batch = order[start : start + PROMPTS_AT_ONCE]
        right[batch] = _answers(
            model.tokenizer,
            llama,
            [questions[i] for i in batch],
            [prompts[i] for i in batch],
            inside,
        )
        done = start + len(batch)
        yield Progress(done / len(order), f"question {done:,} of {len(order):,}")
    yield Progress(1.0, "done", _scores(questions, right))


def _answers(
    tokenizer: Tokenizer,
    llama: Llama,
    questions: list[Question],
    prompts: list[NDArray[np.int32]],
    inside: NDArray[np.bool_],
) -> list[bool]:
    """Whether each question was answered rightly."""

    def decided(i: int, continuation: list[int]) -> bool:
        return judge(tokenizer.continuation(continuation), questions[i].answer) is not None

    longest = max(len(tokenizer.encode(question.answer)) for question in questions)
    barred = np.outer([question.answer.startswith(" ") for question in questions], inside)
    continuations = continue_all(llama, prompts, longest + 2, decided, barred)
    # Whatever the text ends with, a word ends there too.
    texts = [tokenizer.continuation(continuation) + " " for continuation in continuations]
    return [judge(t, q.answer) is True for t, q in zip(texts, questions, strict=True)]


def inside_words(model: Model) -> NDArray[np.bool_]:
    """Mark the tokens of the vocabulary that do not begin with a space."""
    marks = np.ones(model.config.vocabulary_size, bool)
    known = range(min(marks.size, model.tokenizer.vocabulary_size))
    marks[: len(known)] = [not piece.startswith(" ") for piece in model.tokenizer.pieces(known)]
    return marks


def judge(text: str, answer: str) -> bool | None:
    """Whether a continuation is right; None while it is too short to tell.

    >>> [judge(text, " barn") for text in (" barn.", " barns", " bar")]
    [True, False, None]
    """
    if not text.startswith(answer):
        return None if answer.startswith(text) else False
    if answer[-1].isalnum():
        return None if text == answer else not text[len(answer)].isalnum()
    return True


def _opened(tokenizer: Tokenizer, prompt: str) -> NDArray[np.int32]:
    tokens = tokenizer.encode(prompt)
    return (
        np.concatenate([np.array([tokenizer.bos_id], np.int32), tokens])
        if tokenizer.adds_bos
        else tokens
    )


def _scores(questions: list[Question], right: NDArray[np.bool_]) -> list[SkillScore]:
    rows = dict.fromkeys((question.skill, question.level) for question in questions)
    scores = []
    for row in rows:
        mine = [r for r, q in zip(right, questions, strict=True) if (q.skill, q.level) == row]
        scores.append(SkillScore(*row, int(sum(mine)), len(mine)))
    return scores
