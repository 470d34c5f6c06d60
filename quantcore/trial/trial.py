"""The same prompts, answered by a model as it is and by quantized versions of it.

Only one version is in memory at a time, beside the original's answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from quantcore.evaluate.quantized import Type, llama_of
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.methods import get_method
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.types import get_type
from quantcore.trial.answering import Said, Sampling, Tokens, answer, log_probability
from quantcore.trial.chat import ChatTemplate
from quantcore.trial.prompts import TestPrompt
from quantcore.trial.verdict import Verdict, verdict

ORIGINAL = ""  # the name of the model as it is
MOST_VERSIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a version says to a prompt."""

    text: str
    pieces: tuple[str, ...]  # the text token by token, for what is marked
    said: Said
    right: bool | None  # None where nobody can say
    first_difference: int | None  # the first token that is not the original's; None if all are
    original_log_probability: float | None  # of a token of the original's answer, in the mean


@dataclass(frozen=True, slots=True)
class Version:
    """One version's answers, in the order of the prompts; fewer while it still answers."""

    name: str  # the type, with the method that chose its codes; "" of the original
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """All versions' answers to one test set."""

    model: str
    prompts: tuple[TestPrompt, ...]
    sampling: Sampling
    original: Version
    versions: tuple[Version, ...]
    so_far: str = ""  # of the answer that is being given

    def verdict(self, version: Version, margin: float) -> Verdict | None:
        """Compare a version with the original over judged prompts; None where there are none."""
        pairs = [
            (o.right, a.right)
            for o, a in zip(self.original.answers, version.answers, strict=False)
            if o.right is not None and a.right is not None
        ]
        return verdict([o for o, _ in pairs], [q for _, q in pairs], margin) if pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A version that is asked for: a type, and the method that chooses its codes."""

    type: str
    by: str = "rtn"

    @property
    def name(self) -> str:
        """As tables call it.

        >>> Asked(type="Q4_K_M").name, Asked(type="INT4_G128", by="gptq").name
        ('Q4_K_M', 'INT4_G128 by gptq')
        """
        return self.type if self.by == "rtn" else f"{self.type} by {self.by}"


def trial_steps(
    model: Model,
    prompts: Sequence[TestPrompt],
    asked: Sequence[Asked],
    sampling: Sampling,
    *,
    calibration: str | None = None,
    in_chat: bool = False,
) -> Iterator[Progress[Trial]]:
    """Let a model and its versions answer, in steps of a token; each carries what is known.

    Parameters
    ----------
    calibration
        What methods see; by default the calibration text that ships with the lab.
    in_chat
        Put every prompt into the model's chat template.

    Raises
    ------
    ValueError
        If there are no prompts or versions, two versions are the same, a type or a method does not
        suit the model, or a prompt fills its context; before any work is done.
    """
    if not prompts or not asked:
        raise ValueError("A trial needs prompts, and at least one version to compare.")
    asked = [
        Asked(type=get_type(each.type).name, by=get_method(each.by).name)
        for each in asked[: MOST_VERSIONS + 1]
    ]
    if len(asked) > MOST_VERSIONS:
        raise ValueError(f"Compare at most {MOST_VERSIONS} versions at once.")
    if len({each.name for each in asked}) < len(asked):
        raise ValueError("Two of these versions are the same.")
    chat = ChatTemplate(model) if in_chat else None
    tokens = [opened(model, each.prompt, chat) for each in prompts]
    for prompt, several in zip(prompts, tokens, strict=True):
        if len(several) >= model.config.context_length:
            raise ValueError(
                f"The prompt {prompt.prompt[:40]!r}… has {len(several):,} tokens; {model.name} "
                f"takes at most {model.config.context_length - 1:,}."
            )
    stored = [
        (
            each,
            None if each.by == "rtn" else stored_by_steps(model, each.type, each.by, calibration),
        )
        for each in asked
    ]
    trial = Trial(
        model=model.name,
        prompts=tuple(prompts),
        sampling=sampling,
        original=Version(ORIGINAL),
        versions=tuple(Version(each.name) for each in asked),
    )
    return _steps(model, trial, tokens, stored)


def _steps(
    model: Model,
    trial: Trial,
    tokens: list[Tokens],
    stored: list[tuple[Asked, Iterator | None]],
) -> Iterator[Progress[Trial]]:
    parts = 1 + len(stored)
    yield Progress(0.0, "reading the model", trial)
    yield from _answers(model, llama_of(model), trial, trial.original, tokens, (0.0, 1 / parts))
    for i, (asked, steps) in enumerate(stored):
        start, version = (i + 1) / parts, trial.versions[i]
        kept: Type = asked.type
        if steps is not None:  # choosing takes half of the version's time
            for step in steps:
                kept = step.result or kept
                yield Progress(start + step.share / 2 / parts, step.stage, trial)
            start += 1 / 2 / parts
        yield Progress(start, f"{version.name}: storing the weights", trial)
        whole = (start, (i + 2) / parts)
        yield from _answers(model, llama_of(model, kept), trial, version, tokens, whole)
    yield Progress(1.0, "done", trial)


def _answers(
    model: Model,
    llama: Llama,
    trial: Trial,
    version: Version,
    tokens: list[Tokens],
    shares: tuple[float, float],
) -> Iterator[Progress[Trial]]:
    """Answer every prompt; adds to `version`."""
    start, end = shares
    for i, prompt in enumerate(tokens):
        stage = f"{version.name or 'The original'}: prompt {i + 1:,} of {len(tokens):,}"
        said = Said()
        for said in answer(llama, prompt, trial.sampling, i, model.tokenizer.eos_id):
            part = (i + len(said.tokens) / trial.sampling.n_tokens) / len(tokens)
            so_far = model.tokenizer.continuation(said.tokens)
            known = replace(trial, so_far=so_far)
            yield Progress(start + (end - start) * min(part, 1.0), stage, known)
        theirs = said if version is trial.original else trial.original.answers[i].said
        version.answers.append(
            Answer(
                text=model.tokenizer.continuation(said.tokens),
                pieces=_pieces(model, said.tokens),
                said=said,
                right=_judged(trial.prompts[i], model.tokenizer.continuation(said.tokens)),
                first_difference=first_difference(theirs.tokens, said.tokens),
                original_log_probability=log_probability(llama, prompt, theirs.tokens),
            )
        )


def _judged(prompt: TestPrompt, text: str) -> bool | None:
    return prompt.is_right(text) if prompt.judged else None


def _pieces(model: Model, tokens: Sequence[int]) -> tuple[str, ...]:
    """Cut an answer's text at its tokens; letters of several tokens go to the last of them."""
    texts = [model.tokenizer.continuation(tokens[:n]) for n in range(len(tokens) + 1)]
    ends = [len(text.rstrip("\ufffd")) for text in texts]
    ends[-1:] = [len(texts[-1])]
    return tuple(texts[-1][a:b] for a, b in pairwise(ends))


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Place of the first token that two answers do not share; None where they are the same.

    >>> first_difference([5, 6, 7], [5, 6, 8]), first_difference([5], [5, 6])
    (2, 1)
    >>> first_difference([5, 6], [5, 6])
    """
    for place, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine != its:
            return place
    return None if len(one) == len(other) else min(len(one), len(other))


def opened(model: Model, prompt: str, chat: ChatTemplate | None) -> Tokens:
    """Tokens of a prompt, in the chat template if one is given, with what opens a text in front."""
    tokenizer = model.tokenizer
    tokens = tokenizer.encode(prompt if chat is None else chat.prompt(prompt))
    if not tokenizer.adds_bos or tokenizer.bos_id is None:
        return tokens
    if len(tokens) and tokens[0] == tokenizer.bos_id:  # a chat template writes it itself
        return tokens
    return np.concatenate([np.array([tokenizer.bos_id], np.int32), tokens])
