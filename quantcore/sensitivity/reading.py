"""What a bench reads: chunks of a text, and questions on skills, in batches of rows.

Of each row some tokens are targets. Those of the chunks come first, then those of the answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.skills import Question, inside_words, shipped_questions
from quantcore.evaluate.text import Chunks
from quantcore.model.source import Model

LOGITS_AT_ONCE = 1 << 21  # of the original, for one batch of chunks: 8 MiB
QUESTIONS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one length that pass through a model together."""

    inputs: NDArray[np.int32]  # (n_rows, length)
    targets: NDArray[np.int32]  # (n_targets,), row by row
    scored: NDArray[np.bool_]  # (n_rows, length - 1): where the state before a target stands
    opens_word: NDArray[np.bool_] | None = None  # (n_targets,), of answers: no word goes on there

    @property
    def is_answers(self) -> bool:
        """Whether the targets are answers to questions."""
        return self.opens_word is not None

    @property
    def first(self) -> int:
        """The first place whose state is wanted, in any row."""
        return int(self.scored.any(axis=0).argmax())

    def wanted(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the states before the targets out of those from `first` on: (n_targets, width)."""
        return states[:, :-1][self.scored[:, self.first :]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question whose answer is so many of the targets."""

    skill: str
    level: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Chunks, each with as many targets, and the questions after them."""

    batches: list[Batch]
    n_chunks: int
    chunk_targets: int  # of all chunks
    answers: tuple[Answer, ...] = ()
    skills: tuple[tuple[str, str], ...] = ()  # and levels, in the order of the questions
    inside_words: NDArray[np.bool_] | None = None  # tokens (vocabulary_size,) that go on with one

    @property
    def targets(self) -> NDArray[np.int32]:
        """All targets."""
        return np.concatenate([batch.targets for batch in self.batches])

    def of_chunks(self, values: NDArray) -> NDArray:
        """Take the chunks' part of values (n_targets,): (n_chunks, targets of one)."""
        return values[: self.chunk_targets].reshape(self.n_chunks, -1)

    def of_answers(self, values: NDArray) -> NDArray:
        """Take the answers' part of values (n_targets,): (n_answer_targets,)."""
        return values[self.chunk_targets :]


def reading_of(model: Model, chunks: Chunks, questions: Sequence[Question] = ()) -> Reading:
    """Cut chunks and questions into batches; questions of like length go together."""
    scored = int(chunks.scored[0].sum())
    at_once = max(1, LOGITS_AT_ONCE // (scored * model.config.vocabulary_size))
    batches = []
    for start in range(0, len(chunks.tokens), at_once):
        rows = slice(start, start + at_once)
        mask = chunks.scored[rows]
        batches.append(Batch(chunks.inputs[rows], chunks.tokens[rows, 1:][mask], mask))
    asked = sorted((_tokens(model, each) for each in questions), key=lambda each: len(each[0]))
    answers = []
    for start in range(0, len(asked), QUESTIONS_AT_ONCE):
        together = asked[start : start + QUESTIONS_AT_ONCE]
        batches.append(_batch(together))
        answers += [Answer(each.skill, each.level, n) for _, n, each in together]
    skills = tuple(dict.fromkeys((each.skill, each.level) for each in questions))
    n_chunks = len(chunks.tokens)
    inside = inside_words(model) if questions else None
    return Reading(batches, n_chunks, n_chunks * scored, tuple(answers), skills, inside)


def first_questions(n: int) -> list[Question]:
    """Take the first so many questions of each skill at each level."""
    if n < 0:
        raise ValueError(f"{n:,} questions cannot be asked.")
    taken: dict[tuple[str, str], list[Question]] = {}
    for each in shipped_questions() if n else ():
        taken.setdefault((each.skill, each.level), []).append(each)
    return [each for row in taken.values() for each in row[:n]]


def question_tokens(model: Model, n: int) -> int:
    """Count the tokens of the first n questions of each skill at each level, answers included."""
    encode = model.tokenizer.encode
    return sum(len(encode(each.prompt + each.answer)) for each in first_questions(n))


def _tokens(model: Model, question: Question) -> tuple[NDArray[np.int32], int, Question]:
    """Tokens of a prompt and its answer, and how many of them are the answer's."""
    tokenizer = model.tokenizer
    prompt = tokenizer.encode(question.prompt)
    whole = tokenizer.encode(question.prompt + question.answer)
    shared = min(len(prompt), len(whole) - 1)
    differs = np.flatnonzero(prompt[:shared] != whole[:shared])
    n_answer = len(whole) - (int(differs[0]) if differs.size else shared)
    if tokenizer.adds_bos:
        whole = np.concatenate([np.array([tokenizer.bos_id], np.int32), whole])
    return whole, n_answer, question


def _batch(rows: list[tuple[NDArray[np.int32], int, Question]]) -> Batch:
    """Pad rows behind, where no token before can see it."""
    length = max(len(tokens) for tokens, _, _ in rows)
    inputs = np.zeros((len(rows), length), np.int32)
    scored = np.zeros((len(rows), length - 1), bool)
    for row, mask, (tokens, n_answer, _) in zip(inputs, scored, rows, strict=True):
        row[: len(tokens)] = tokens
        mask[len(tokens) - 1 - n_answer : len(tokens) - 1] = True
    opens = np.concatenate(
        [np.arange(n) < each.answer.startswith(" ") for _, n, each in rows]
    )  # the first token of an answer that does
    return Batch(inputs, inputs[:, 1:][scored], scored, opens)
