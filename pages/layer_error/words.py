"""The sentences of the page Error by layer: numbers in, text out. Errors are in percent."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pages.shared.units import plural, spoken, three, times
from quantcore.recipe.types import get_type

Percents = Mapping[str, float]

HOW_TO_READ_MAP = (
    "Root mean square error of each matrix, in percent of the matrix’s own root mean square. "
    "Colour goes from the best matrix of this type, pale, to twice its error, or to the worst if "
    "that is more. Click a cell or a bar to follow a tensor."
)
ALIKE = 1.1  # matrices whose errors differ by less lose about the same


def not_followed(tensor: str, reason: str) -> str:
    """Say that the tensor cannot be stored so, and that another is looked at."""
    return f"{reason.removesuffix('.')}. Another tensor than {tensor} is followed."


def not_compared(type_names: Sequence[str], reason: str) -> str:
    """Say which types can store no matrix of the model; `reason` is that of the first."""
    return f"Not compared: {', '.join(type_names)}. {reason.removesuffix('.')}."


def which(type_name: str, formats: Mapping[str, str]) -> str:
    """Say whether one format is on every matrix, or how many matrices a mix gives each."""
    if not get_type(type_name).mix:
        return "The same format on every matrix."
    counts = Counter(formats.values()).most_common()
    listed = ", ".join(f"{count} in {name}" for name, count in counts)
    matrices = plural(len(formats), "matrix", "matrices")
    return f"A mix of llama-quantize: of {matrices} {listed}."


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
        return f"In **{type_name}** no matrix loses anything: every weight comes back as it was."
    if errors[worst] < ALIKE * errors[best]:
        return (
            f"In **{type_name}** all matrices lose about the same: **{three(errors[worst])} %** of "
            f"their size at most, {three(errors[best])} % at least."
        )
    return (
        f"In **{type_name}**, **{spoken(worst)}** moves most: its weights change by "
        f"{three(errors[worst])} % of their size. {spoken(best).capitalize()} moves least: "
        f"{three(errors[best])} %."
    )


def together(whole: float) -> str:
    """Say what all matrices lose together, in percent."""
    return f"All matrices together lose {three(whole)} %."


def side_by_side(every: Mapping[str, Percents], whole: Mapping[str, float]) -> str:
    """Compare the gentlest with the harshest type, and say in which one matrices differ most.

    `every` are errors by type and matrix, `whole` those of all matrices together; both are sorted,
    the gentlest first.
    """
    least, most = next(iter(whole)), list(whole)[-1]
    if least == most or not whole[least]:
        return f"**{most}** loses {three(whole[most])} % in all."
    grown = f"From {least} to {most} the error grows **{times(whole[most] / whole[least])} times**"
    lossy = {name: {n: v for n, v in one.items() if v} for name, one in every.items()}
    apart = {name: max(one.values()) / min(one.values()) for name, one in lossy.items() if one}
    uneven = max(apart, key=apart.__getitem__)
    if apart[uneven] < ALIKE:
        return f"{grown}; in each of them all matrices lose about the same."
    errors = lossy[uneven]
    worst, best = max(errors, key=errors.__getitem__), min(errors, key=errors.__getitem__)
    return (
        f"{grown}. Matrices differ most in {uneven}: {spoken(worst)} loses {times(apart[uneven])} "
        f"times as much as {spoken(best)}."
    )


def profile(tensor: str, format_name: str, errors: Percents, bits: Mapping[str, float]) -> str:
    """Compare one tensor's error in the chosen format with the format nearest in size."""
    rivals = [name for name in errors if name != format_name]
    if format_name not in errors or not rivals:
        return f"**{spoken(tensor).capitalize()}** in these formats."
    rival = min(rivals, key=lambda name: (abs(bits[name] - bits[format_name]), errors[name]))
    return (
        f"**{spoken(tensor).capitalize()}** loses {three(errors[format_name])} % in {format_name} "
        f"at {bits[format_name]:.3g} bits, {three(errors[rival])} % in {rival} at "
        f"{bits[rival]:.3g}."
    )


def rows(tensor: str, errors: NDArray) -> str:
    """Name the worst row, or say that all are alike."""
    worst, middle = int(errors.argmax()), float(np.median(errors))
    if not errors.any():
        return f"No row of **{spoken(tensor)}** loses anything."
    if not middle or errors[worst] > 1.15 * middle:
        ratio = f", {times(errors[worst] / middle)} times the median row" if middle else ""
        return (
            f"Row {worst} of **{spoken(tensor)}** is the worst: **{three(float(errors[worst]))} "
            f"%** of its size{ratio}."
        )
    return (
        f"All rows of **{spoken(tensor)}** lose about as much: {three(float(errors.min()))} to "
        f"**{three(float(errors.max()))} %** of their size."
    )
