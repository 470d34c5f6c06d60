"""The sentences of the page Error by layer: numbers in, text out. Errors are in percent."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pages.shared.units import opening, plural, the, three, times
from quantcore.recipe.types import get_type

PURPOSE = (
    "How much each matrix changes when it is stored in a format, and which matrices change most."
)
DEFINED = (
    "tensor, embedding, quantization, scale, grid, format, mix, pure, bits per weight, root mean "
    "square"
).split(", ")

Percents = Mapping[str, float]

HOW_TO_READ_MAP = (
    "Root mean square error of each matrix, in percent of the matrix’s own root mean square. The "
    "palest colour is the best matrix of this type, the strongest is twice its error, or the worst "
    "matrix if that has more. Click a cell or a bar to follow a tensor."
)
ALIKE = 1.1  # matrices whose errors differ by less change about equally


def not_followed(reason: str, shown: str) -> str:
    """Say why the tensor cannot be stored so, and which one is shown instead."""
    return f"{reason.removesuffix('.')}. Showing {the(shown)} instead."


def not_compared(type_names: Sequence[str], reason: str) -> str:
    """Say which types can store no matrix of the model; `reason` is that of the first."""
    return f"Not compared: {', '.join(type_names)}. {reason.removesuffix('.')}."


def which(type_name: str, formats: Mapping[str, str]) -> str:
    """Say whether one format is on every matrix, or how many matrices a mix gives each."""
    if not get_type(type_name).mix:
        return "Every matrix has the same format."
    counts = Counter(formats.values()).most_common()
    listed = ", ".join(f"{count} in {name}" for name, count in counts)
    matrices = plural(len(formats), "matrix", "matrices")
    return f"A llama-quantize mix of {matrices}: {listed}."


def cells(errors: Percents, formats: Mapping[str, str]) -> dict[str, str]:
    """Word the cells of the map: the error, and where they differ the format."""
    return {
        name: three(value) + (f"<br>{formats[name]}" if formats else "")
        for name, value in errors.items()
    }


def extremes(type_name: str, errors: Percents) -> str:
    """Name the worst and the best matrix of a type."""
    worst, best = max(errors, key=errors.__getitem__), min(errors, key=errors.__getitem__)
    if not errors[worst]:
        return f"In **{type_name}** no matrix changes: every weight comes back as it was."
    if errors[worst] < ALIKE * errors[best]:
        return (
            f"In **{type_name}** all matrices change by about the same share of their size: "
            f"{three(errors[best])} to **{three(errors[worst])} %**."
        )
    return (
        f"In **{type_name}**, **{the(worst)}** changes most: by {three(errors[worst])} % of its "
        f"size. {opening(the(best))} changes least: by {three(errors[best])} %."
    )


def together(whole: float) -> str:
    """Say how large the error of all matrices together is, in percent."""
    return f"The error of all matrices together is {three(whole)} %."


def side_by_side(every: Mapping[str, Percents], whole: Mapping[str, float]) -> str:
    """Compare the gentlest with the harshest type, and say in which one matrices differ most.

    `every` are errors by type and matrix, `whole` those of all matrices together; both are sorted,
    the gentlest first.
    """
    least, most = next(iter(whole)), list(whole)[-1]
    if least == most or not whole[least]:
        return f"The error of **{most}** is {three(whole[most])} % in all."
    ratio = times(whole[most] / whole[least])
    grown = f"The error of {most} is **{ratio} times** that of {least}"
    lossy = {name: {n: v for n, v in one.items() if v} for name, one in every.items()}
    apart = {name: max(one.values()) / min(one.values()) for name, one in lossy.items() if one}
    uneven = max(apart, key=apart.__getitem__)
    if apart[uneven] < ALIKE:
        return f"{grown}; within each type, all matrices change about equally."
    errors = lossy[uneven]
    worst, best = max(errors, key=errors.__getitem__), min(errors, key=errors.__getitem__)
    return (
        f"{grown}. Matrices differ most in {uneven}: {the(worst)} changes {times(apart[uneven])} "
        f"times as much as {the(best)}."
    )


def profile(tensor: str, format_name: str, errors: Percents, bits: Mapping[str, float]) -> str:
    """Compare one tensor's error in the chosen format with the format nearest in size."""
    rivals = [name for name in errors if name != format_name]
    if format_name not in errors or not rivals:
        return f"**{opening(the(tensor))}** in these formats."
    rival = min(rivals, key=lambda name: (abs(bits[name] - bits[format_name]), errors[name]))
    return (
        f"The error of **{the(tensor)}** is {three(errors[format_name])} % in {format_name} at "
        f"{bits[format_name]:.3g} bits per weight, and {three(errors[rival])} % in {rival} at "
        f"{bits[rival]:.3g}."
    )


def rows(tensor: str, errors: NDArray) -> str:
    """Name the worst row, or say that all are alike."""
    worst, middle = int(errors.argmax()), float(np.median(errors))
    if not errors.any():
        return f"No row of **{the(tensor)}** changes."
    if not middle or errors[worst] > 1.15 * middle:
        ratio = f", {times(errors[worst] / middle)} times as much as the median" if middle else ""
        return (
            f"Row {worst} of **{the(tensor)}** changes most: by **{three(float(errors[worst]))} %**"
            f" of its size{ratio}."
        )
    return (
        f"All rows of **{the(tensor)}** change about equally: by {three(float(errors.min()))} to "
        f"**{three(float(errors.max()))} %** of their size."
    )
