"""The text that a model is measured on, cut into chunks as llama-perplexity cuts it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.corpus.floor import token_floor
from quantcore.model.shipped import shipped_folder
from quantcore.model.source import Model

CONTEXTS = (512, 256, 128, 64)  # tokens a chunk, the usual ones; 512 is llama-perplexity's
FEWEST_CHUNKS = 4  # that a text should fill: of fewer, a mean says little


@dataclass(frozen=True, slots=True)
class Chunks:
    """Tokens of a text in chunks of `context`; what does not fill a chunk is dropped.

    The first token of a chunk is no target: nothing stands before it. Of the others,
    llama-perplexity scores those of the second half, from place ``context // 2 + 1`` on.
    """

    tokens: NDArray[np.int32]  # (n_chunks, context) as in the text
    inputs: NDArray[np.int32]  # `tokens`, the first of each chunk replaced by BOS where used
    starts: NDArray[np.int64]  # (n_chunks, context), the character at which each token starts

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which targets count, (n_chunks, context - 1); target i is the token at place i + 1."""
        context = self.tokens.shape[1]
        row = np.arange(1, context) > context // 2
        return np.broadcast_to(row, (len(self.tokens), context - 1))

    def first(self, n: int) -> "Chunks":
        """Return the first so many chunks."""
        return Chunks(self.tokens[:n], self.inputs[:n], self.starts[:n])


def cut(model: Model, text: str, context: int, at_most: int | None = None) -> Chunks:
    """Tokenize a text as a whole, with BOS before it where the tokenizer adds one, and cut it.

    With `at_most` only as much of it is read as so many tokens take. Control tokens that it writes
    out are characters like others, unless the model's tokenizer `parses_special`.

    Raises
    ------
    ValueError
        If the context is too small or too large for the model, or the text is shorter than two
        chunks (llama-perplexity asks for as much).

    Notes
    -----
    Source: llama.cpp, tools/perplexity/perplexity.cpp.
    """
    if not 4 <= context <= model.config.context_length:
        raise ValueError(
            f"The context must be 4 to {model.config.context_length:,}, not {context:,}."
        )
    tokenizer = model.tokenizer
    if at_most is None:
        tokens, starts = tokenizer.encode_with_starts(text, measured=True)
    else:
        tokens, starts = tokenizer.encode_start(text, at_most, measured=True)
    if tokenizer.adds_bos:
        tokens = np.concatenate([np.array([tokenizer.bos_id], np.int32), tokens])
        starts = np.concatenate([[0], starts])
    n_chunks = len(tokens) // context
    if n_chunks < 2:
        raise ValueError(
            f"The text has {len(tokens):,} {'token' if len(tokens) == 1 else 'tokens'}; measuring "
            f"at a context of {context} needs at least {2 * context:,}. Use a longer text."
        )
    tokens = tokens[: n_chunks * context].reshape(n_chunks, context)
    inputs = tokens.copy()
    if tokenizer.adds_bos and tokenizer.bos_id is not None:
        inputs[:, 0] = tokenizer.bos_id
    return Chunks(tokens, inputs, starts[: n_chunks * context].reshape(n_chunks, context))


def context_for(model: Model, n_tokens: int) -> int:
    """Choose the largest usual context that cuts so many tokens into enough chunks.

    Where a text is too short for any, it is the smallest of them; where the model sees less than
    that at a time, all that it sees.
    """
    longest = model.config.context_length
    contexts = [context for context in CONTEXTS if context <= longest] or [longest]
    return next((c for c in contexts if FEWEST_CHUNKS * c <= n_tokens), contexts[-1])


def evaluation_text() -> str:
    """Read the text that ships with the lab: stories whose own probabilities are known."""
    return (shipped_folder() / "evaluation.txt").read_text(encoding="utf-8")


def calibration_text() -> str:
    """Read other stories of the same kind, for what is fitted or chosen."""
    return (shipped_folder() / "calibration.txt").read_text(encoding="utf-8")


def calibration_tokens(
    model: Model, text: str | None = None, context: int | None = None
) -> NDArray[np.int32]:
    """Cut what a method is shown into chunks (n_chunks, context), with BOS where it is used.

    The text is by default the one that ships with the lab, the context the most of the usual tokens
    that it fills; a text that is too short gets `cut`'s `ValueError`.
    """
    text = calibration_text() if text is None else text
    if context is None:
        context = context_for(model, len(model.tokenizer.encode(text)))
    return cut(model, text, context).inputs


def floor_by_target(text: str, chunks: Chunks) -> NDArray[np.float64] | None:
    """Find what the generator of a text itself loses on each target, in nats, (n_targets,).

    None for any text but the shipped one: only its probabilities are known.
    """
    if text != evaluation_text():
        return None
    floor = token_floor(shipped_folder(), chunks.starts)
    return None if floor is None else floor[:, 1:].ravel()
