"""The sentences of the page Scales: numbers in, text out."""

from collections.abc import Mapping

from numpy.typing import NDArray

from pages.shared.units import exact, percent, plural, real_minus, spoken, times
from quantcore.evaluate.scale_cost import stripes
from quantcore.format import Part
from quantcore.formats.k.sub_scale_bits import SubScaleBits


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
            f"Finer scales gain little here: **{percent(lost[coarse])}** with one for the tensor, "
            f"{percent(lost[fine])} at best."
        )
    return (
        f"One scale for the whole tensor leaves an error of **{percent(lost[coarse])}**; {fine} "
        f"pays {plural_bits(paid[fine])} a weight for scales and leaves **{percent(lost[fine])}**."
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
        f"**{spoken(tensor).capitalize()}** in codes of {bits} bits. To the right: bits per weight "
        "spent on scales and minima; down: closer to the original. The line joins integers whose "
        "scale covers ever fewer weights."
    )


def spread(type_name: str, shown: str, count: int, each: int, largest_to_median: float) -> str:
    """Say how many scales there are and how much they differ."""
    differ = (
        f"the largest is **{times(largest_to_median)} times** the median"
        if largest_to_median
        else "half of them or more are 0"
    )
    how_many = f"{several(count, shown)}, one for {plural(each, 'weight')}"
    return f"**{type_name}** keeps {how_many}; {differ}."


def one_for_all(type_name: str, size: float, n_weights: int) -> str:
    """Say that a single scale serves."""
    return f"**{type_name}** has one scale for all {n_weights:,} weights: **{exact(size)}**."


def largest(row: int, place: int, each: int, n_columns: int) -> str:
    """Say where the largest scale lies."""
    if each >= n_columns:
        return f"The largest belongs to **row {row}**."
    return f"The largest lies in **row {row}**, weights {place * each} to {(place + 1) * each - 1}."


def how_to_read_map(shown: str, sizes: NDArray) -> str:
    """Explain the map of scales."""
    what = "minimum" if shown == "minima" else "scale"
    return (
        f"Each {what} where it lies; stronger colour is larger, the ring is the largest. "
        f"{_STRIPES[stripes(sizes)]} Click to choose a block."
    )


_STRIPES = {
    None: "There are no stripes: rows and columns are much alike.",
    "rows": "Stripes across are rows of large weights.",
    "columns": "Stripes down are columns of large weights.",
}


def stored(chosen: int, part: Part, layout: SubScaleBits, above: float) -> str:
    """Decode the scale of one sub-block, in numbers; `above` is the super-block's scale."""
    bits, code = layout.scales[chosen], real_minus(str(part.scale_code))
    n_bytes = len({byte for byte, _ in bits})
    split = f"split over {n_bytes} bytes" if n_bytes > 1 else "in one byte"
    return (
        f"Sub-block {chosen} stores its scale as **{code}**: {len(bits)} bits, "
        f"{split}. Times the super-block’s {exact(above)}, that is **{exact(part.scale)}**."
    )


def how_stored(type_name: str, shown_as: str, layout: SubScaleBits, row: int, block: int) -> str:
    """Explain the picture of bits."""
    instead = (
        "" if shown_as == type_name else f"{type_name} has no super-blocks; this is {shown_as}. "
    )
    each = len(layout.scales[0])
    offset = f" The number that the bits spell is {layout.offset} more." if layout.offset else ""
    kinds = "scale and minimum" if layout.minimums else "scale"
    return (
        f"{instead}The bytes of the sub-scales in row {row}, block {block}: a column a byte, bit 7 "
        f"on top; strong are the bits of the chosen sub-block’s {kinds}.{offset} Numbers of {each} "
        f"bits, where a scale alone would take 16, keep {len(layout.scales)} sub-blocks cheap."
    )
