"""Sentences on two results side by side."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from pages.sensitivity.costs import Cost, called
from pages.shared.units import plural, times
from quantcore.sensitivity.results import Source


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
    ratio = median(second[n].size / first[n].size for n in shared)
    if not 1 / 1.1 < ratio < 1.1:
        less = ratio < 1
        said += (
            f". The median tensor costs {times(1 / ratio if less else ratio)} times as much in "
            f"{names[0] if less else names[1]}"
        )
    places = [_places({n: each[n] for n in shared}) for each in (first, second)]
    far = max(shared, key=lambda n: abs(places[0][n] - places[1][n]))
    one, two = places[0][far], places[1][far]
    if one == two:
        return f"{said}; every tensor has the same place in both."
    return (
        f"{said}. **{called(far).capitalize()}** changes its place most: number {one} in "
        f"{names[0]}, number {two} in {names[1]}."
    )


def _places(found: Mapping[str, Cost]) -> dict[str, int]:
    """Give the tensors numbers, 1 the costliest."""
    return {n: 1 + sum(o.size > c.size for o in found.values()) for n, c in found.items()}


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def apart(first: Mapping[str, Cost], second: Mapping[str, Cost]) -> list[str]:
    """List the tensors of both results, those farthest from the others’ ratio first."""
    shared = [n for n in first if n in second and first[n].size and second[n].size]
    ratios = {n: math.log(second[n].size / first[n].size) for n in shared}
    middle = median(ratios.values()) if ratios else 0.0
    return sorted(shared, key=lambda n: -abs(ratios[n] - middle))


def told_apart(first: Source, second: Source) -> tuple[str, str]:
    """Name two results by what differs between them."""
    for parts in (
        lambda source: source.model,
        lambda source: source.text,
        lambda source: f"with{'' if source.imatrix_digest else 'out'} imatrix",
        lambda source: f"{source.tokens:,} tokens",
    ):
        names = parts(first), parts(second)
        if names[0] != names[1]:
            return names
    return "the first", "the second"


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
        "the dashed line both say the same; a cloud beside it costs more in one throughout."
    )


NOTHING_BESIDE = "Does another text, or another model, find the same tensors weak?"
HOW_TO_LAY_BESIDE = (
    "Lay a second result beside this one: one that was measured below, or a file of results."
)
