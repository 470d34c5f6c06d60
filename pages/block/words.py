"""The sentences of the page Block: numbers in, text out."""

import numpy as np
from numpy.typing import NDArray

from pages.shared.units import exact, number, percent, plural, real_minus, signed, times
from quantcore.evaluate.landing import ROUNDED_STEPS
from quantcore.evaluate.specimens import OutlierHarm
from quantcore.format import OpenedBlock, Part

PURPOSE = "What becomes of one block of weights: from numbers to codes and bytes, and back."
DEFINED = (
    "tensor, quantization, code, scale, minimum, zero point, grid, block, super-block, outlier, "
    "format, bits per weight, root mean square"
).split(", ")

HALF_STEP = 0.5 + ROUNDED_STEPS
UNHARMED, HARDLY = 1.02, 1.25  # an error that grows by no more is the same, or hardly more
TEXTBOOK, MODEL, OUTLIER, EQUAL = EXAMPLES = (
    "33 comes back as 32",
    "From the model",
    "One outlier",
    "All equal",
)
IN_Q4_0 = (
    "An 8-bit scale has a place for 33; a 4-bit scale of step 16 has 2 × 16 = 32 as its nearest. "
)

AS_STORED = (
    "These are the very bytes of the file. It does not say what the weights were before they were "
    "quantized, so every ring falls straight down. The marks below are the only values that this "
    "block can store; bigger dots collect more weights."
)

TURNED = (
    " The file is big-endian: the bytes of its numbers are in the opposite order to those below."
)


def how_to_read_line(to_nearest: bool, bold: str) -> str:
    """Explain the number line; `bold` says which weight the bold line is."""
    lands = (
        "It is rounded to the nearest mark below"
        if to_nearest
        else "It becomes one of the marks below, though not always the nearest one: several "
        "weights share a code, or the scale was rounded"
    )
    return (
        f"Each ring is a weight at its true value. {lands}. The marks are the only values that "
        f"this block can store. Bigger dots collect more weights; the bold line is {bold}."
    )


def kept(
    type_name: str, n_weights: int, n_bytes: float, share: float, before: tuple[str, float]
) -> str:
    """Say what the format keeps of the block.

    Parameters
    ----------
    n_bytes
        What these weights take, scales included.
    share
        The error by the weights' size.
    before
        The type that they were stored in, and the bytes that they took there.
    """
    stored_as, former = before
    instead = f" instead of {exact(former, 3)} in {stored_as}" if stored_as != type_name else ""
    return (
        f"**{type_name}** stores these {plural(n_weights, 'weight')} in {exact(n_bytes, 3)} bytes"
        f"{instead}; a typical one is off by **{percent(share)}** of its size."
    )


def elsewhere(what: str, part: int) -> str:
    """Say in which sub-block the weight is that the example is about."""
    return f" The {what} is in sub-block {part}."


def as_stored(type_name: str, n_weights: int, n_bytes: int, file: str, at: int) -> str:
    """Say that these are the bytes of a file, and where they are."""
    return (
        f"**{type_name}**, as stored in {file}: the {plural(n_bytes, 'byte')} starting at byte "
        f"**{at:,}** {'encodes' if n_bytes == 1 else 'encode'} {plural(n_weights, 'weight')}."
    )


def held(type_name: str, stored_as: str, n_weights: int) -> str:
    """Say that codes and scale are those of a quantized folder."""
    return (
        f"**{type_name}**, as the model is stored ({stored_as}): the codes and the scale are its "
        f"own, and {plural(n_weights, 'weight')} here {'is' if n_weights == 1 else 'are'} exactly "
        "what they stand for."
    )


def kept_float(type_name: str, n_bytes: int, value: float, restored: float) -> str:
    """Say what a float format keeps of one weight."""
    if value == restored:
        return f"**{type_name}** stores this weight **exactly** in {plural(n_bytes, 'byte')}."
    return (
        f"**{type_name}** stores this weight in {plural(n_bytes, 'byte')}: it changes by "
        f"**{percent(abs(restored / value - 1))}** of its size, to the nearest float."
    )


def textbook(weight: float, part: Part, stands_for: float, restored: float, uneven: bool) -> str:
    """Walk through the rounding of one weight, and back; `stands_for` is what its code means."""
    digits = _digits(part, stands_for, restored)
    scale, added = exact(part.scale, digits), ""
    if part.minimum:
        sign = "plus" if part.minimum > 0 else "less"
        added = f" {sign} the minimum {exact(abs(part.minimum), digits)},"
        scale += ","
    quotient = exact((weight + part.minimum) / part.scale, 3)
    stored = exact(stands_for, digits)
    return (
        f"**{exact(weight)}**{added} divided by the scale {scale} is {quotient}; stored as "
        f"{f'the code for {stored}' if uneven else stored}, it comes back as "
        f"{_restoring(part, stands_for, digits)} = **{exact(restored)}**."
    )


def backwards(left: int, right: int, type_name: str, largest: float | None) -> str:
    """Say why codes run from the largest to the smallest, where the scale is negative.

    Parameters
    ----------
    left, right
        The codes of the outermost marks.
    largest
        The weight of largest size, where the format gave it the code that reaches furthest, which
        is `right`'s on the positive side and `left`'s on the negative one.
    """
    ends = [real_minus(str(code)) for code in (left, right)]
    text = (
        f" The scale is negative here, so the codes run backwards, from {ends[0]} on the left to "
        f"{ends[1]} on the right"
    )
    if largest is None:
        return f"{text}."
    return (
        f"{text}: {type_name} gives {ends[largest > 0]}, the code that reaches furthest, to the "
        f"largest weight, {exact(largest)}."
    )


def outlier(codes: NDArray, largest: int, n_values: int, harm: OutlierHarm | None = None) -> str:
    """Say how few codes the other weights share, and how those of other sub-blocks fare."""
    others = len(np.unique(np.delete(codes, largest)))
    share = f"share **{plural(others, 'code')}** of {n_values}"
    whole = "One weight eight times larger than the rest takes the whole range"
    if harm is None:
        return f"{whole}: the others {share}."
    n_near, n_far = plural(harm.n_near, "other weight"), plural(harm.n_others, "other sub-block")
    suffer = "suffers" if harm.n_others == 1 else "suffer"
    if harm.growth_far <= UNHARMED:
        fare = f"{'is' if harm.n_others == 1 else 'are'} unharmed"
    else:
        fare = f"hardly {suffer}" if harm.growth_far <= HARDLY else f"{suffer} too"
    return f"{whole} of **sub-block {harm.part}**: its {n_near} {share}; the {n_far} {fare}."


def outlier_harm(harm: OutlierHarm) -> str:
    """Compare what the outlier does to its own sub-block with what it does to the others."""
    inside = (
        f"Beside the outlier, in sub-block {harm.part}, a typical weight is off by "
        f"**{percent(harm.near)}** of its size, without it by {percent(harm.near_before)}"
    )
    far, before = percent(harm.far), percent(harm.far_before)
    other = "sub-block" if harm.n_others == 1 else f"{harm.n_others} sub-blocks"
    if harm.growth_far <= UNHARMED:
        return f"{inside}; in the other {other} by {far} either way."
    return f"{inside}; in the other {other} by {far}, without it by {before}."


WHY_OTHERS_SUFFER = (
    " Each sub-block has a scale of its own, but it is kept as a multiple of one for the whole "
    "block, and the outlier makes that one large, so that the multiples are coarse."
)


def equal(n_weights: int, share: float, n_restored: int) -> str:
    """Say whether equal weights survive, and whether they stay equal.

    `n_restored` counts the different values that they come back as.
    """
    if not share:
        return f"{plural(n_weights, 'equal weight')} come back **exactly**: all take the same code."
    if n_restored > 1:
        return (
            f"{plural(n_weights, 'equal weight')} come back as **{n_restored} different values**; "
            f"a typical one is off by **{percent(share)}**."
        )
    return f"{plural(n_weights, 'equal weight')} are all off by the same **{percent(share)}**."


def by_hand(bits: int, share: float, type_name: str, own_share: float) -> str:
    """Compare the dials with the format."""
    return (
        f"With your settings ({plural(bits, 'bit')}) a typical weight is off by "
        f"**{percent(share)}** of its size; with {type_name} itself, by {percent(own_share)}."
    )


def miss(weight: int, steps: float, n_cut: int) -> str:
    """Say how large the largest error is, and whether that weight was cut off."""
    if not steps:
        return "**No weight** changes at all."
    by = f"**{steps:.2f} steps**" if steps >= 1 else f"**{steps:.2f} of a step**"
    if n_cut:
        return (
            f"{plural(n_cut, 'weight')} beyond the grid {'is' if n_cut == 1 else 'are'} cut off, "
            f"weight {weight} by {by}; inside the grid no weight can be off by more than half a "
            "step."
        )
    if steps > HALF_STEP:
        return (
            f"Weight {weight} has the largest error, {by}: a little more than half a step, "
            "because the scale was rounded after the codes were chosen."
        )
    return (
        f"Weight {weight} has the largest error, {by}; inside the grid no weight can be off by "
        "more than half a step."
    )


def miss_uneven(weight: int, share: float) -> str:
    """Say how large the largest error is, where the grid has no one step."""
    if not share:
        return "**No weight** changes at all."
    return (
        f"Weight {weight} has the largest error: **{percent(share)}** of the size of a typical "
        "weight."
    )


def gain(whose: str, error: float, best: float) -> str:
    """Compare the present error with the best of the search."""
    if not error or best > 0.99 * error:
        return f"{whose} an error of **{number(error)}**; no other scale or zero point does better."
    return (
        f"{whose} an error of **{number(error)}**; the best setting of the sliders gives "
        f"**{number(best)}**, {percent(1 - best / error)} less."
    )


def how_searched(bits: int, percent_of_scale: float, shift: float, gains: bool) -> str:
    """Say what was searched; where something better `gains`, where it lies."""
    if not gains:
        return f"Searched: scale 40 to 160 %, zero point ±2 steps, {plural(bits, 'bit')}."
    return (
        f"Best for {plural(bits, 'bit')}: scale {percent_of_scale:g} %, zero point {signed(shift)} "
        "steps. Solid: your zero point; dotted: the best one."
    )


def sub_blocks(parts: tuple[Part, ...]) -> str:
    """Compare the scales of a super-block's parts."""
    scales = [abs(part.scale) for part in parts]
    if min(scales) and max(scales) < 1.05 * min(scales):
        return f"The super-block’s {len(parts)} sub-blocks all have **nearly the same scale**."
    if not min(scales):
        return (
            f"Of the super-block’s {len(parts)} sub-blocks, **{scales.count(0)}** "
            f"{'holds' if scales.count(0) == 1 else 'hold'} only zeros."
        )
    return (
        f"The super-block’s {len(parts)} sub-blocks have scales that differ by a factor of up to "
        f"**{times(max(scales) / min(scales))}**."
    )


def remains(opened: OpenedBlock, n_weights: int, bits_per_weight: float) -> str:
    """Say how many bytes are left, and how many bits per weight takes in the whole tensor.

    That is less where a scale belongs to the whole tensor, or where the bits of two blocks share a
    byte that is shown in each.
    """
    here = 8 * opened.packed.size / n_weights
    whole = "" if abs(here - bits_per_weight) < 1e-3 * here else " in the whole tensor"
    return (
        f"What is stored: **{plural(opened.packed.size, 'byte')}** for "
        f"{plural(n_weights, 'weight')}; {bits_per_weight:.4g} bits per weight{whole}."
    )


def bits_of_float(opened: OpenedBlock, value: float) -> str:
    """Take a float apart in words."""
    (field,) = opened.fields
    return (
        f"The bytes in the order of the file, lowest first: {field.says}, and the remaining bits "
        f"are its digits. They encode **{exact(float(opened.restored[0]))}**; the weight was "
        f"{exact(value)}."
    )


def arithmetic(
    opened: OpenedBlock, part: Part, weight: int, value: float, uneven: bool = False
) -> str:
    """Restore one weight from its code, in numbers; on an uneven grid codes stand for values."""
    code = int(opened.codes[weight]) + opened.first_code
    restored = float(opened.restored[weight])
    stands_for = restored / part.scale if uneven and part.scale else code
    digits = _digits(part, stands_for, restored)
    product = _restoring(part, stands_for, digits)
    meaning = f", which stands for {exact(stands_for, digits)}" if uneven else ""
    before = "" if value == restored else f"; it was {exact(value)}"
    return (
        f"Every byte as it is in the file. Outlined: weight {weight}, code "
        f"{real_minus(str(code))}{meaning}, so {product} = **{exact(restored)}**{before}. "
        "Hover, focus or tap a byte to read it; arrow keys go from byte to byte."
    )


def _digits(part: Part, stands_for: float, restored: float) -> int:
    """Find how many digits a reader needs, so that what is printed comes out as `restored`."""
    for digits in range(4, 9):
        scale, meant, low = (
            float(f"{each:.{digits}g}") for each in (part.scale, stands_for, part.minimum)
        )
        if exact(scale * meant - low) == exact(restored):
            return digits
    return 9  # all that a float32 has


def _restoring(part: Part, stands_for: float, digits: int) -> str:
    """Write ``scale × code − minimum``."""
    shown = exact(stands_for, digits)
    text = f"{exact(part.scale, digits)} × {shown if stands_for >= 0 else f'({shown})'}"
    if part.minimum:
        text += f" {'−' if part.minimum > 0 else '+'} {exact(abs(part.minimum), digits)}"
    return text
