"""Reading one short text closely: where a quantized model thinks differently, token by token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import score_against
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.perplexity import KeptLogits, score
from quantcore.model.llama import Llama
from quantcore.model.sampling import continue_greedily
from quantcore.model.source import Model

TIE = 1.5  # a first choice that leads by less than this many times: a touch flips it


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where two continuations differ."""

    at: int  # tokens that both wrote before
    original: int  # the token that the original wrote
    quantized: int
    by_original: tuple[float, float]  # probability of either token, by the original
    by_quantized: tuple[float, float]

    @property
    def near_tie(self) -> bool:
        """Whether the original had hardly a preference."""
        first, second = self.by_original
        return first < TIE * second


@dataclass(frozen=True, slots=True)
class Continuations:
    """One prompt, continued by two models, each by its most probable token."""

    prompt: list[int]
    original: list[int]
    quantized: list[int]
    parting: Parting | None  # None where they agree to the end

    def texts(
        self, decode: Callable[[Sequence[int]], str]
    ) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
        """Cut both texts, the original's first: what they share, what differs, what follows.

        What differs is one token; nothing differs and nothing follows where they agree to the end.
        """
        at = self.parting.at if self.parting else len(self.original)
        return _cut_at(at, self.original, decode), _cut_at(at, self.quantized, decode)


def read_closely(model: Model, original: Llama, quantized: Llama, text: str) -> TokenDrift:
    """Score every token of a text that fits the context, the first one where a BOS stands before.

    What is beyond the context is left out; `scored` is true everywhere.

    Raises
    ------
    ValueError
        If the text has fewer than two tokens.
    """
    tokens, starts = tokens_and_starts(model, text)
    if len(tokens) < 2:
        raise ValueError("The text has fewer than two tokens; there is nothing to predict.")
    inputs, targets = tokens[None, :-1], tokens[1:]
    kept = KeptLogits.empty(original, len(targets))
    base = score(original, original.hidden(inputs)[0], targets, kept)
    scores, kl = score_against(quantized, quantized.hidden(inputs)[0], targets, kept, base)
    return TokenDrift(
        position=np.arange(1, len(tokens), dtype=np.int32),
        start=starts[1:].astype(np.int32),
        token=targets,
        scored=np.ones(len(targets), bool),
        nll=scores.nll.astype(np.float32),
        base_nll=base.nll.astype(np.float32),
        kl=kl.astype(np.float32),
        top_token=scores.top_token,
        base_top_token=base.top_token,
        base_top_probability=base.top_probability,
    )


def continue_both(
    model: Model, original: Llama, quantized: Llama, prompt: str, n: int
) -> Continuations:
    """Let both models continue a prompt by up to `n` tokens.

    Raises
    ------
    ValueError
        If the prompt is empty or fills the context.
    """
    tokens, _ = tokens_and_starts(model, prompt, room=1)
    ours, theirs = (
        [step.token for step in continue_greedily(llama, tokens, n, model.tokenizer.eos_id)]
        for llama in (original, quantized)
    )
    parting = _parting(original, quantized, tokens, ours, theirs)
    return Continuations([int(t) for t in tokens], ours, theirs, parting)


def _cut_at(
    at: int, written: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> tuple[str, str, str]:
    """Decode from the beginning each time: a token's text may depend on those before it.

    Where several tokens spell one character, the first of them shows a replacement sign, which is
    no part of what follows: such a character stands whole with what differs.
    """
    whole = decode(written)
    same = _shared(decode(written[:at]), whole)
    ends = (decode(written[:n]) for n in range(at + 1, len(written) + 1))
    end = next((text for text in ends if whole.startswith(text)), whole)
    return same, end[len(same) :], whole[len(end) :]


def _shared(one: str, other: str) -> str:
    """Return what two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))]


def within_context(model: Model, text: str) -> str:
    """Cut a text after the tokens that a model reads at once; one that fits stays as it is."""
    length = model.config.context_length - model.tokenizer.adds_bos
    tokens, starts = model.tokenizer.encode_start(text, length + 1)
    return text if len(tokens) <= length else text[: starts[length]]


def pieces(text: str, starts: Sequence[int] | NDArray[np.integer]) -> list[str]:
    """Cut a text where its tokens start.

    >>> pieces("to be", [0, 2])
    ['to', ' be']
    """
    ends = [*starts[1:], len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def rows_by_token(read: TokenDrift, text: str) -> list[dict[str, str | float]]:
    """Make one row a token of a text that was read, with what a table of tokens needs.

    Returns
    -------
    list[dict]
        ``token``, its own text; ``kl_nats``; ``probability_original`` and
        ``probability_quantized``, of that token.
    """
    columns = (pieces(text, read.start), read.kl, read.base_probability, read.probability)
    return [
        {
            "token": token,
            "kl_nats": float(kl),
            "probability_original": float(before),
            "probability_quantized": float(after),
        }
        for token, kl, before, after in zip(*columns, strict=True)
    ]


def tokens_and_starts(
    model: Model, text: str, room: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Tokens of a text and where each starts, behind a BOS where used, cut to the context."""
    tokenizer = model.tokenizer
    length = model.config.context_length - room
    tokens, starts = tokenizer.encode_start(text, max(length, 0))
    if tokenizer.adds_bos:
        tokens = np.concatenate([np.array([tokenizer.bos_id], np.int32), tokens])
        starts = np.concatenate([[0], starts])
    return tokens[:length], starts[:length]


def _parting(
    original: Llama,
    quantized: Llama,
    tokens: NDArray[np.int32],
    ours: list[int],
    theirs: list[int],
) -> Parting | None:
    pairs = zip(ours, theirs, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        return None
    before = np.concatenate([tokens, np.array(ours[:at], np.int32)])
    pair = [ours[at], theirs[at]]
    by_original, by_quantized = (_chances(llama, before, pair) for llama in (original, quantized))
    return Parting(at, ours[at], theirs[at], by_original, by_quantized)


def _chances(llama: Llama, tokens: NDArray[np.int32], pair: list[int]) -> tuple[float, float]:
    states = llama.hidden(tokens[None])[0, -1:]
    logits = llama.output(states)[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    first, second = powers[pair] / powers.sum()
    return float(first), float(second)
