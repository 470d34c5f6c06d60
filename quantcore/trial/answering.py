"""A model answers a prompt, token by token, and says how likely it finds another's answer.

Sampled answers of several versions share their draws: a token is the one with the largest logit
over temperature plus noise of its own (Gumbel's), and the noise is of the seed, the prompt and the
place alone. So two versions that compute the same say the same, and where answers differ the
version did it, not chance.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.model.llama import KeyValueCache, Llama

Tokens = NDArray[np.int32]
HOTTEST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    n_tokens: int = 40  # of an answer, at most
    temperature: float = 0.0  # 0: always the most probable token
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers beyond what can be meant."""
        if not 1 <= self.n_tokens <= 1000:
            raise ValueError(f"An answer may have 1 to 1,000 tokens, not {self.n_tokens:,}.")
        if not 0 <= self.temperature <= HOTTEST:
            raise ValueError(f"The temperature must be 0 to {HOTTEST:g}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError("The seed must be 0 to 4,294,967,295.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer so far."""

    tokens: tuple[int, ...] = ()
    first_seconds: float | None = None  # from the prompt to the first token; None: not kept
    seconds: float | None = None  # to the last
    ended: bool = False  # by the model's own end of text

    @property
    def seconds_per_token(self) -> float | None:
        """After the first; None of a single one, or where times were not kept."""
        more = len(self.tokens) - 1
        if more < 1 or self.seconds is None or self.first_seconds is None:
            return None
        return (self.seconds - self.first_seconds) / more


def answer(
    llama: Llama, prompt: Tokens, sampling: Sampling, number: int, stop: int | None
) -> Iterator[Said]:
    """Answer a prompt; yields what was said after each token.

    Parameters
    ----------
    prompt
        Tokens (n,), fewer than the context holds.
    number
        Of the prompt in its test set: decides about the draws, with the seed and the place.
    stop
        The token that ends a text, which is no part of the answer.

    Raises
    ------
    ValueError
        If the prompt is empty, or fills the context.
    """
    n = min(sampling.n_tokens, llama.config.context_length - len(prompt))
    if n < 1 or not len(prompt):
        raise ValueError(
            f"The prompt has {len(prompt):,} tokens; a model with a context of "
            f"{llama.config.context_length:,} takes 1 to {llama.config.context_length - 1:,}."
        )
    cache = KeyValueCache(llama.config, 1, len(prompt) + n)
    said: list[int] = []
    start, first = time.perf_counter(), 0.0
    new = np.asarray(prompt)[None]
    for place in range(n):
        logits = llama.output(llama.hidden(new, cache)[0, -1:])[0]
        token = _chosen(logits, sampling, number, place)
        now = time.perf_counter() - start
        first = first or now
        if token == stop:
            yield Said(tokens=tuple(said), first_seconds=first, seconds=now, ended=True)
            return
        said.append(token)
        yield Said(tokens=tuple(said), first_seconds=first, seconds=now)
        new = np.array([[token]])


def _chosen(logits: NDArray[np.float32], sampling: Sampling, number: int, place: int) -> int:
    if not sampling.temperature:
        return int(logits.argmax())
    draw = np.random.default_rng([sampling.seed, number, place])
    noise = draw.gumbel(size=len(logits))
    return int((logits.astype(np.float64) / sampling.temperature + noise).argmax())


def log_probability(llama: Llama, prompt: Tokens, said: Sequence[int]) -> float | None:
    """Mean natural logarithm of the probability of each token of an answer; None of an empty one.

    At temperature 1, each token after the prompt and the tokens before it.
    """
    if not said:
        return None
    tokens = np.concatenate([prompt, np.asarray(said, np.int32)])
    states = llama.hidden(tokens[None, :-1])[0, len(prompt) - 1 :]
    logits = llama.output(states).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    chances = logits[np.arange(len(said)), said] - np.log(np.exp(logits).sum(axis=1))
    return float(chances.mean())
