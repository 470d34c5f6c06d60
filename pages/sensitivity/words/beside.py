"""Sentences on two results side by side."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from pages.sensitivity.words.figures import the
from pages.shared.units import opening, plural, real_minus, times
from quantcore.sensitivity.costs import Cost
from quantcore.sensitivity.results import Source


def beside(
    first: Mapping[str, Cost], second: Mapping[str, Cost], rank: float, names: tuple[str, str]
) -> str:
    """Say whether two results agree on the order, and who moves most between them."""
    shared = [n for n in first if n in second and first[n].size and second[n].size]
    if not shared:
        return "These two results have no tensor in common that moves either model."
    agree = "agree" if rank > 0.8 else "agree in part" if rank > 0.5 else "do not agree"
    said = "Too few tensors are in both results to compare their order"
    if not math.isnan(rank):
        said = (
            f"The two {agree} on the order: rank correlation **{real_minus(f'{rank:.2f}')}** over "
            f"{plural(len(shared), 'tensor')}"
        )
    ratio = median(second[n].size / first[n].size for n in shared)
    if not 1 / 1.1 < ratio < 1.1:
        less = ratio < 1
        more = times(1 / ratio if less else ratio)
        typical = "The median tensor" if len(shared) > 1 else "It"
        said += f". {typical} costs {more} times as much in {names[0] if less else names[1]}"
    ranks = [_ranks({n: each[n] for n in shared}) for each in (first, second)]
    far = max(shared, key=lambda n: abs(ranks[0][n] - ranks[1][n]))
    one, two = ranks[0][far], ranks[1][far]
    if one == two:
        return f"{said}; every tensor has the same place in both."
    return (
        f"{said}. **{opening(the(far))}** changes its place most: number {one} in "
        f"{names[0]}, number {two} in {names[1]}."
    )


def _ranks(costs: Mapping[str, Cost]) -> dict[str, int]:
    """Give the tensors numbers, 1 the costliest."""
    return {n: 1 + sum(o.size > c.size for o in costs.values()) for n, c in costs.items()}


def names_by_difference(first: Source, second: Source) -> tuple[str, str]:
    """Name two results by what differs between them."""
    for parts in (
        lambda source: source.model,
        lambda source: source.text,
        lambda source: f"with{'' if source.imatrix_digest else 'out'} imatrix",
        lambda source: f"by {source.by or 'rounding'}",
        lambda source: f"{source.tokens:,} tokens",
    ):
        names = parts(first), parts(second)
        if names[0] != names[1]:
            return names
    return "the first", "the second"


def no_match(label: str, format_name: str, formats: Sequence[str]) -> str:
    """Say that a second result cannot be compared here."""
    return (
        f"“{label}” holds no results for {format_name} in this measure, only for "
        f"{', '.join(formats[:8])}."
    )


def how_to_read_two(format_name: str) -> str:
    """Say how the two maps are to be read."""
    return (
        f"Both are in {format_name}, on one colour scale and in one unit. Below, one mark per "
        "tensor: on the dashed line both results are equal; a whole cloud on one side of it costs "
        "more in one of them."
    )


NOTHING_BESIDE = "Are the same tensors weak on another text, or in another model?"
HOW_TO_COMPARE = (
    "Compare with a second result: one that was measured below, or one from a file of results."
)
