"""How far a model's predictions are from another's: Kullback-Leibler divergence by token.

    KL = sum over the vocabulary of  p * (log p - log q)    p: the original, q: the quantized model

In nats. llama-perplexity computes the same from a base file of 16-bit log-probabilities, so its
values end at about 1e-5; here both sets of logits are at hand and the sum runs in float64.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import kernel
from quantcore.evaluate.perplexity import (
    ROWS_AT_ONCE,
    KeptLogits,
    Scores,
    mean_and_error,
    score_rows,
)
from quantcore.model.blas import one_thread
from quantcore.model.llama import Floats, Llama
from quantcore.pool import over_rows

PERCENTILES = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Change of the true token's probability, quantized minus original, as shares of 1."""

    mean: float
    mean_error: float
    rms: float
    rms_error: float
    percentiles: dict[float, float]


def score_against(
    llama: Llama,
    states: Floats,
    targets: NDArray[np.int32],
    kept: KeptLogits,
    base: Scores,
) -> tuple[Scores, NDArray[np.float64]]:
    """Score targets (n,) of a quantized model, and its KL divergence from the base at each.

    Of the original, `kept` holds the logits and `base` the scores, as `score` leaves them.
    """
    scores = Scores.empty(len(targets))
    divergence = np.empty(len(targets))

    def work(start: int, stop: int) -> None:
        for first in range(start, stop, ROWS_AT_ONCE):
            rows = slice(first, min(first + ROWS_AT_ONCE, stop))
            logits = llama.output(states[rows])
            score_rows(logits, targets[rows], scores, rows)
            shift = scores.log_sum[rows] - base.log_sum[rows]
            _divergence(kept.logits[rows], kept.powers[rows], logits, shift, divergence[rows])

    with one_thread():
        over_rows(work, len(targets), min_rows=ROWS_AT_ONCE)
    return scores, divergence


@kernel
def _divergence(base_logits, powers, logits, shift, divergence):
    """`shift` is the difference of the log-sums, so that only logits are subtracted in the loop."""
    for r in range(logits.shape[0]):
        total = 0.0
        weighted = 0.0
        for i in range(logits.shape[1]):
            total += powers[r, i]
            weighted += powers[r, i] * (np.float64(base_logits[r, i]) - np.float64(logits[r, i]))
        # Never below 0 but for rounding.
        divergence[r] = max(weighted / total + shift[r], 0.0)


def spread_of(change: NDArray[np.floating]) -> Spread:
    """Summarize changes of probability; the error of the root mean square by the delta rule."""
    change = np.asarray(change, np.float64)
    mean, mean_error = mean_and_error(change)
    square, square_error = mean_and_error(change**2)
    rms = square**0.5
    return Spread(
        mean=mean,
        mean_error=mean_error,
        rms=rms,
        rms_error=square_error / (2 * rms) if rms else 0.0,
        percentiles=percentiles_of(change),
    )


def percentiles_of(values: NDArray[np.floating]) -> dict[float, float]:
    """Percentiles with linear interpolation, by their percentage."""
    percentiles = np.percentile(np.asarray(values, np.float64), PERCENTILES)
    return {p: float(value) for p, value in zip(PERCENTILES, percentiles, strict=True)}


def share_and_error(hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of hits and its standard error."""
    share = float(hits.mean())
    return share, float((share * (1 - share) / max(len(hits) - 1, 1)) ** 0.5)
