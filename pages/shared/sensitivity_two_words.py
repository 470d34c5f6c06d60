"""Sentences on two results side by side."""

import math
from collections.abc import Mapping, Sequence

from pages.shared.sensitivity_costs import Cost, called
from pages.shared.units import plural, times


def beside(
    first: Mapping[str, Cost], second: Mapping[str, Cost], rank: float, names: tuple[str, str]
) -> str:
    """Say whether two results agree on the order, and who moves most between them."""
    shared = [n for n in first if n in second and first[n].size and second[n].size]
    if not shared:
        return "These two results have no tensor in common that moves either model."
    agree = "agree" if rank > 0.8 else "agree in part" if rank > 0.5 else "do not agree"
    said = "Too few tensors are in both to compare their order"
    if not math.isnan(rank):
        said = (
            f"Both {agree} on the order: rank correlation **{_minus(rank)}** over "
            f"{plural(len(shared), 'tensor')}"
        )
    far = apart(first, second)[0]
    ratio = first[far].size / second[far].size
    more = names[0] if ratio > 1 else names[1]
    if max(ratio, 1 / ratio) < 1.05:
        return f"{said}; none costs 5 % more in one than in the other."
    return (
        f"{said}. **{called(far).capitalize()}** differs most: {times(max(ratio, 1 / ratio))} "
        f"times as much in {more}."
    )


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def apart(first: Mapping[str, Cost], second: Mapping[str, Cost]) -> list[str]:
    """List the tensors of both results, those whose costs differ most first."""
    shared = [n for n in first if n in second and first[n].size and second[n].size]
    return sorted(shared, key=lambda n: -abs(math.log(first[n].size / second[n].size)))


def no_match(label: str, format_name: str, formats: Sequence[str]) -> str:
    """Say that a second result cannot be compared here."""
    return (
        f"“{label}” holds nothing of {format_name} in this measure; it has "
        f"{', '.join(formats[:8])}."
    )


def how_to_read_two(format_name: str) -> str:
    """Say how the two maps are to be read."""
    return (
        f"Both in {format_name}, on one colour scale and in one unit. Below, a mark a tensor; on "
        "the dashed line both say the same."
    )


NOTHING_BESIDE = "Does another text, or another model, find the same tensors weak?"
HOW_TO_LAY_BESIDE = (
    "Lay a second result beside this one: one that was measured below, or a file of results."
)
