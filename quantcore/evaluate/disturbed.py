"""What becomes of a model's predictions when its passes are disturbed and its weights are not.

Rounded keys and values, or noise between the layers: each chunk runs through the model as it is,
and through each of the disturbed passes; logits come from the model's own output matrix, or from
that of a model which a pass belongs to.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import score_against, share_and_error
from quantcore.evaluate.perplexity import KeptLogits, mean_and_error, score
from quantcore.evaluate.text import Chunks
from quantcore.model.llama import Floats, Llama
from quantcore.progress import Progress

TOKENS_AT_ONCE = 1024
Pass = Callable[[NDArray[np.int32]], Iterator[Floats]]
"""From tokens (n_sequences, n) to the states after each layer; after the last, normed."""


@dataclass(frozen=True, slots=True)
class TokenChanges:
    """By scored token, the second half of each chunk, in the order of the text; (n_scored,)."""

    base_nll: NDArray[np.float64]  # -log p(token), nats
    nll: NDArray[np.float64]  # of the disturbed pass
    kl: NDArray[np.float64]  # divergence of the prediction, nats
    base_top_probability: NDArray[np.float32]
    same_top: NDArray[np.bool_]  # whether both would say the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The scored tokens as a whole. Divergences in nats; errors are one standard error."""

    context: int  # tokens a chunk
    tokens_scored: int
    mean_kl_divergence: float
    mean_kl_divergence_error: float
    perplexity_ratio: float
    perplexity_ratio_error: float
    same_top_token: float  # share of places where both would say the same
    same_top_token_error: float


def changes_of(tokens: TokenChanges, context: int) -> dict[str, Any]:
    """Compute the fields of `Changes`."""
    mean_kl, mean_kl_error = mean_and_error(tokens.kl)
    log_ratio, log_ratio_error = mean_and_error(tokens.nll - tokens.base_nll)
    same, same_error = share_and_error(tokens.same_top)
    return {
        "context": context,
        "tokens_scored": len(tokens.kl),
        "mean_kl_divergence": mean_kl,
        "mean_kl_divergence_error": mean_kl_error,
        "perplexity_ratio": float(np.exp(log_ratio)),
        "perplexity_ratio_error": float(np.exp(log_ratio) * log_ratio_error),
        "same_top_token": same,
        "same_top_token_error": same_error,
    }


def disturbed_steps(
    llama: Llama,
    passes: Mapping[str, Pass],
    chunks: Chunks,
    heads: Mapping[str, Llama] | None = None,
) -> Iterator[Progress[dict[str, TokenChanges]]]:
    """Run chunks through a model and through disturbed passes of it; a step is a layer of a batch.

    Parameters
    ----------
    passes
        By the names that results get.
    heads
        Models whose output matrix makes the logits of a pass, where it is not the model's own.
    """
    heads = heads or {}
    n_chunks, context = chunks.tokens.shape
    scored = chunks.scored[0]
    parts: dict[str, list[TokenChanges]] = {name: [] for name in passes}
    at_once = max(1, TOKENS_AT_ONCE // context)
    n_steps = -(-n_chunks // at_once) * (1 + len(passes)) * (llama.config.n_layers + 1)
    n_done = 0
    for start in range(0, n_chunks, at_once):
        batch = slice(start, start + at_once)
        targets = chunks.tokens[batch, 1:][:, scored].ravel()
        kept = KeptLogits.empty(llama, len(targets))
        for name, run in {"original": llama.hidden_by_layer, **passes}.items():
            for states in run(chunks.inputs[batch]):  # noqa: B007 - the last one is the result
                n_done += 1
                stage = f"{name}: chunk {min(start + at_once, n_chunks)} of {n_chunks}"
                yield Progress(n_done / n_steps, stage)
            rows = states[:, :-1][:, scored].reshape(len(targets), -1)
            if name == "original":
                base = score(llama, rows, targets, kept)
                continue
            scores, kl = score_against(heads.get(name, llama), rows, targets, kept, base)
            same = scores.top_token == base.top_token
            parts[name].append(TokenChanges(base.nll, scores.nll, kl, base.top_probability, same))
    yield Progress(1.0, "done", {name: _joined(each) for name, each in parts.items()})


def _joined(parts: list[TokenChanges]) -> TokenChanges:
    return TokenChanges(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in TokenChanges.__slots__
        )
    )
