"""Divergence by how sure the original was of its first choice.

Most of a mean divergence comes from places where the original wavers between tokens; what is lost
where it was sure is smaller, and weighs more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.drift_result import TokenDrift
from quantcore.evaluate.perplexity import mean_and_error

# Probability of the first choice, as exllamav3's eval/qbench has them.
EDGES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SureBin:
    """Scored tokens where the original's first choice had a probability from `low` to `high`."""

    low: float
    high: float  # not included, but in the last bin
    tokens: int
    mean_kl_divergence: float  # nats; 0 where there is no token
    mean_kl_divergence_error: float  # one standard error
    share_of_divergence: float  # of the sum over all tokens; 0 where nothing diverges
    changed: float  # share of the bin's tokens where the other model would say another


def by_sureness(
    kl: NDArray[np.floating],
    base_top_probability: NDArray[np.floating],
    changed: NDArray[np.bool_],
    edges: Sequence[float] = EDGES,
) -> tuple[SureBin, ...]:
    """Sort tokens, (n,) each, into bins of the original's top probability."""
    total = float(np.sum(kl, dtype=np.float64))
    place = np.searchsorted(edges[1:-1], base_top_probability, side="right")
    bins = []
    for i, (low, high) in enumerate(pairwise(edges)):
        mine = place == i
        mean, error = mean_and_error(kl[mine]) if mine.any() else (0.0, 0.0)
        bins.append(
            SureBin(
                low=low,
                high=high,
                tokens=int(mine.sum()),
                mean_kl_divergence=mean,
                mean_kl_divergence_error=error,
                share_of_divergence=float(np.sum(kl[mine], dtype=np.float64)) / (total or 1.0),
                changed=float(changed[mine].mean()) if mine.any() else 0.0,
            )
        )
    return tuple(bins)


def sureness_of(tokens: TokenDrift, edges: Sequence[float] = EDGES) -> tuple[SureBin, ...]:
    """Sort the scored tokens of a drift."""
    scored = tokens.scored
    changed = tokens.top_token != tokens.base_top_token
    return by_sureness(
        tokens.kl[scored], tokens.base_top_probability[scored], changed[scored], edges
    )
