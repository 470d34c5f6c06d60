"""The sentences of the page Scales: numbers in, text out."""

from collections.abc import Mapping

from numpy.typing import NDArray

from pages.shared.units import exact, percent, plural, real_minus, the, times
from quantcore.evaluate.scale_cost import stripes
from quantcore.format import Part
from quantcore.formats.k.sub_scale_bits import SubScaleBits

PURPOSE = "What scales are, how they are stored, and what more or fewer of them do to the error."
DEFINED = (
    "tensor, embedding, code, scale, minimum, grid, block, super-block, format, bits per weight, "
    "root mean square"
).split(", ")

SCALE_AND_MINIMUM = (
    "A scale is the distance between two neighbouring values of a grid; a minimum shifts all of "
    "them by the same amount."
)


def several(count: int, shown: str) -> str:
    """Count scales or minima.

    >>> several(1, "minima"), several(2048, "scales")
    ('1 minimum', '2,048 scales')
    """
    return plural(count, *(("minimum", "minima") if shown == "minima" else ("scale",)))


def price(paid: Mapping[str, float], lost: Mapping[str, float], coarse: str) -> str:
    """Compare one scale for all with the finest: bits paid for scales, relative error left."""
    fine = min((name for name in lost if name.startswith("INT")), key=lost.__getitem__)
    if not lost[coarse] or lost[fine] > 0.97 * lost[coarse]:
        return (
            f"Finer scales gain little here: the error is **{percent(lost[coarse])}** with one "
            f"scale for the whole tensor, and {percent(lost[fine])} at best."
        )
    return (
        f"One scale for the whole tensor leaves an error of **{percent(lost[coarse])}**; {fine} "
        f"spends {plural_bits(paid[fine])} per weight on scales and leaves "
        f"**{percent(lost[fine])}**."
    )


def plural_bits(bits: float) -> str:
    """Count bits that need not be whole.

    >>> plural_bits(1.0), plural_bits(0.125)
    ('1 bit', '0.125 bits')
    """
    return f"{bits:.3g} bit{'' if bits == 1 else 's'}"


def how_to_read_price(tensor: str, bits: int) -> str:
    """Explain the chart of cost."""
    return (
        f"{SCALE_AND_MINIMUM} Here: **{the(tensor)}** in codes of {bits} bits. Further right, more "
        "bits per weight are spent on scales and minima; further down is closer to the original. "
        "The line joins the integer formats, from one scale for the whole tensor to the finest "
        "scales."
    )


def spread(type_name: str, shown: str, count: int, each: int, largest_to_median: float) -> str:
    """Say how many scales there are and how much they differ."""
    differ = (
        f"the largest is **{times(largest_to_median)} times** the median"
        if largest_to_median
        else "at least half of them are 0"
    )
    how_many = f"{several(count, shown)}, one per {plural(each, 'weight')}"
    return f"**{type_name}** has {how_many}; {differ}."


def how_to_read_sizes(kind: str, overhead_bits: float, has_minima: bool) -> str:
    """Explain the histogram of scales or minima."""
    what = "scales and minima take" if has_minima else "the scales take"
    return (
        f"How many {kind} have each size, ignoring the sign. Together, {what} {overhead_bits:.4g} "
        f"{'bit' if overhead_bits == 1 else 'bits'} per weight."
    )


def one_for_all(type_name: str, size: float, n_weights: int) -> str:
    """Say that a single scale serves."""
    return f"**{type_name}** has one scale for all {n_weights:,} weights: **{exact(size)}**."


def largest(row: int, place: int, each: int, n_columns: int) -> str:
    """Say where the largest scale is."""
    if each >= n_columns:
        return f"The largest belongs to **row {row}**."
    return f"The largest is in **row {row}**, weights {place * each} to {(place + 1) * each - 1}."


def how_to_read_map(shown: str, sizes: NDArray) -> str:
    """Explain the map of scales."""
    what = "minimum" if shown == "minima" else "scale"
    return (
        f"Each {what} at its place in the tensor. A stronger colour means a larger one; the ring "
        "marks the largest. "
        f"{_STRIPES[stripes(sizes)]} Click to choose a block."
    )


_STRIPES = {
    None: "There are no stripes: rows and columns are much alike.",
    "rows": "Horizontal stripes are rows of large weights.",
    "columns": "Vertical stripes are columns of large weights.",
}


def stored(chosen: int, part: Part, layout: SubScaleBits, above: float) -> str:
    """Decode the scale of one sub-block, in numbers; `above` is the super-block's scale."""
    bits, code = layout.scales[chosen], real_minus(str(part.scale_code))
    n_bytes = len({byte for byte, _ in bits})
    split = f"split over {n_bytes} bytes" if n_bytes > 1 else "in one byte"
    return (
        f"Sub-block {chosen} stores its scale as **{code}**: {len(bits)} bits, "
        f"{split}. Multiplied by the super-block’s scale, {exact(above)}, that is "
        f"**{exact(part.scale)}**."
    )


def how_stored(type_name: str, shown_as: str, layout: SubScaleBits, row: int, block: int) -> str:
    """Explain the picture of bits."""
    instead = (
        "" if shown_as == type_name else f"{type_name} has no super-blocks; this is {shown_as}. "
    )
    each = len(layout.scales[0])
    offset = f" The bits encode that number plus {layout.offset}." if layout.offset else ""
    kinds = "scale and minimum" if layout.minimums else "scale"
    return (
        f"{instead}The bytes of the sub-scales in row {row}, block {block}. One column per byte, "
        f"bit 7 at the top. Highlighted: the bits of this sub-block’s {kinds}.{offset} Storing "
        f"each scale in {each} bits instead of 16 is what makes {len(layout.scales)} sub-blocks "
        "affordable."
    )
