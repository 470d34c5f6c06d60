"""Sentences on what can be trusted: cheap guides, and sums of single effects."""

import math
from collections.abc import Sequence

from pages.sensitivity.words.figures import GUIDE_NAMES, the
from pages.shared.units import number, opening, percent, real_minus
from quantcore.sensitivity.compare import GuideOrder, Sum

HOW_TO_READ_SUMS = (
    "A mix is chosen by adding up what the tensors cost alone. At 1, the sum is equal to what they "
    "cost together. Bars: 95 % intervals of the joint divergence."
)
HOW_TO_READ_WITHIN = (
    "The costs of the tensors of one layer or role added up, compared with what they cost "
    "together. Bars: 95 % intervals of the latter."
)
HOW_TO_READ_GUIDES = (
    "Each mark is a tensor. To the right: what the guide says without running the model in this "
    "format; upwards: the divergence that was measured. The better the guide, the closer the marks "
    "are to a line. Named: the tensors whose rank it gets most wrong. Above: the rank correlation "
    "in this format, and over all formats."
)


def guides(orders: Sequence[GuideOrder], format_name: str) -> str:
    """Say which guide can be trusted, and what the one that cannot misplaces most."""
    known = [each for each in orders if not math.isnan(each.correlation)]
    if not known:
        return f"No guide puts the tensors in an order in {format_name}."
    best, weak = (pick(known, key=lambda each: each.correlation) for pick in (max, min))
    said = (
        f"In {format_name}, **{GUIDE_NAMES[best.guide]}** predicts the order of the tensors best "
        f"(rank correlation **{best.correlation:.2f}**)"
    )
    if best is weak or not weak.misplaced:
        return f"{said}."
    far = weak.misplaced[0]
    guessed, true = weak.ranks[far]
    return (
        f"{said}. **{opening(GUIDE_NAMES[weak.guide])}** predicts it worst "
        f"({_correlation(weak)}): it puts {the(far)} {_ordinal(guessed)} of {len(weak.ranks)}, but "
        f"it is really {_ordinal(true)}."
    )


def guide_title(order: GuideOrder) -> str:
    """Head one guide’s chart."""
    over_all = real_minus(f"{order.over_all_formats:.2f}")
    return f"<b>{GUIDE_NAMES[order.guide]}</b>  {_correlation(order)}; all formats {over_all}"


def _correlation(order: GuideOrder) -> str:
    return real_minus(f"{order.correlation:.2f}")


def _ordinal(place: int) -> str:
    ending = "th" if 10 < place % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


# ---- additivity ----------------------------------------------------------------------------------


SUMS = ("formats", "layers and roles")


def sums(sums: Sequence[Sum], format_name: str) -> tuple[str, str]:
    """Give the finding on additivity, and how to read its chart: over formats, or within one."""
    if any(each.name == format_name for each in sums):
        return additivity(sums, format_name), HOW_TO_READ_SUMS
    return additivity_within(sums, format_name), HOW_TO_READ_WITHIN


def additivity(sums: Sequence[Sum], chosen: str) -> str:
    """Say whether single effects add up to the joint one, and where they do not."""
    mine = next((each for each in sums if each.name == chosen), sums[0])
    ratio = mine.ratio
    said = (
        f"In **{mine.name}**, single effects add up to {number(mine.total)} nats per token; "
        f"together the tensors cost {number(mine.joint.value)}"
    )
    if ratio.low <= 1 <= ratio.high:
        return f"{said}: **within the interval**, so they may be added."
    way = "more" if ratio.value > 1 else "less"
    return f"{said}: the sum is **{percent(abs(ratio.value - 1))} {way}** than what was measured."


def additivity_within(sums: Sequence[Sum], format_name: str) -> str:
    """Say in which layer or role the sum misses most."""
    far = max(sums, key=lambda each: abs(math.log(max(each.ratio.value, 1e-9))))
    inside = sum(each.ratio.low <= 1 <= each.ratio.high for each in sums)
    if len(sums) == 1:
        fits = "is within the interval" if inside else "is not within the interval"
        return (
            f"The sum over **{the(far.name)}** in {format_name} {fits}: it is "
            f"**{far.ratio.value:.2f} times** the joint effect."
        )
    return (
        f"In {inside} of {len(sums)} layers and roles the sum in "
        f"{format_name} is within the interval; **{the(far.name)}** is furthest off, with "
        f"**{far.ratio.value:.2f} times** the joint effect."
    )
