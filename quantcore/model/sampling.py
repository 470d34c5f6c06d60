"""Continuing a text: always the most probable token, so that the same model says the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.model.llama import KeyValueCache, Llama

Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SampledToken:
    """One token of a continuation."""

    token: int
    probability: float
    runners_up: tuple[tuple[int, float], ...]  # the next most probable tokens


def continue_greedily(
    llama: Llama, tokens: Tokens, n: int, stop: int | None = None, n_runners_up: int = 3
) -> Iterator[SampledToken]:
    """Continue a text by up to `n` tokens, or until the token `stop` or the context's end.

    Raises
    ------
    ValueError
        If there are no tokens, or they fill the context already.
    """
    n = min(n, llama.config.context_length - len(tokens))
    if n < 1 or not len(tokens):
        raise ValueError(f"A prompt takes 1 to {llama.config.context_length - 1:,} tokens.")
    cache = KeyValueCache(llama.config, 1, len(tokens) + n)
    new = np.asarray(tokens)[None]
    for _ in range(n):
        logits = llama.output(llama.hidden(new, cache)[0, -1:])[0].astype(np.float64)
        step = _step(logits, n_runners_up)
        yield step
        if step.token == stop:
            return
        new = np.array([[step.token]])


def _step(logits: NDArray[np.float64], n_runners_up: int) -> SampledToken:
    powers = np.exp(logits - logits.max())
    chances = powers / powers.sum()
    order = np.argsort(-chances, kind="stable")[: n_runners_up + 1]
    first, *others = ((int(token), float(chances[token])) for token in order)
    return SampledToken(*first, tuple(others))


def continue_all(
    llama: Llama,
    prompts: Sequence[Tokens],
    n: int,
    finished: Callable[[int, list[int]], bool] = lambda prompt, continuation: False,
    barred_first: NDArray[np.bool_] | None = None,
) -> list[list[int]]:
    """Continue several prompts at once, greedily, each by up to `n` tokens.

    Parameters
    ----------
    finished
        Asked after each token, by the prompt's number and its continuation so far; the work ends
        when it says so of all.
    barred_first
        Tokens with which a continuation may not begin, (n_prompts, n_tokens of the vocabulary).
    """
    lengths = np.array([len(prompt) for prompt in prompts])
    room = min(int(lengths.max()) + n, llama.config.context_length)
    padded = np.zeros((len(prompts), lengths.max()), np.int32)
    for row, prompt in zip(padded, prompts, strict=True):
        row[: len(prompt)] = prompt
    cache = KeyValueCache(llama.config, len(prompts), room)
    # Padding stands behind a prompt, where the prompt cannot see it and new tokens overwrite it.
    states = llama.hidden(padded, cache)[np.arange(len(prompts)), lengths - 1]
    cache.lengths = lengths
    continuations: list[list[int]] = [[] for _ in prompts]
    for left in reversed(range(n)):
        logits = llama.output(states)
        if barred_first is not None and not continuations[0]:
            logits[barred_first] = -np.inf
        tokens = logits.argmax(axis=1)
        for continuation, token in zip(continuations, tokens, strict=True):
            continuation.append(int(token))
        done = all(finished(i, continuation) for i, continuation in enumerate(continuations))
        if done or not left or cache.lengths.max() >= room:
            break
        states = llama.hidden(tokens[:, None], cache)[:, 0]
    return continuations
