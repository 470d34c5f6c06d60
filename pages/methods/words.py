"""The sentences of the page Methods: numbers in, text out."""

from collections.abc import Sequence

from pages.shared.units import number, opening, percent, plural, real_minus, the, times
from quantcore.evaluate.gptq_course import ErrorByImportance
from quantcore.evaluate.method_table import MethodRow
from quantcore.methods import METHODS
from quantcore.methods.awq import ScaleSearch
from quantcore.methods.columns.part_way import Course, PartWay
from quantcore.methods.columns.two_columns import TwoColumns
from quantcore.methods.rotations.incoherence import Spread

PURPOSE = (
    "What methods that look at a layer’s inputs make of the same bits: error of the weights beside "
    "error of what the layer puts out."
)
DEFINED = (
    "token, tensor, embedding, quantization, code, scale, minimum, zero point, grid, block, "
    "super-block, format, bits per weight, root mean square, outlier, kurtosis, σ, "
    "importance matrix, method, rotation, lattice, trellis, mix, pure, divergence, nat, "
    "perplexity, KV cache, context"
).split(", ")
RTN = "rtn"

HOW_TO_READ_ERRORS = (
    "Hollow: the error of the weights. Filled: the error of the layer’s output over the "
    "calibration text, which is what the rest of the model sees. Both relative, on a log scale."
)
HOW_TO_READ_PLANE = (
    "Down is better, left is smaller; a line joins what one method made in several formats. The "
    "dashed line is the least error that any code of this size could have, were the weights "
    "Gaussian noise with these inputs."
)
HOW_TO_READ_PLACES = (
    "Columns in groups of equal size, those with the smallest inputs on the left. A value of 1 is "
    "the mean error of plain rounding over all columns."
)
HOW_TO_READ_STEPS = (
    "Left: every column of the row in the order GPTQ takes them, and how far it is from its "
    "original; filled columns are rounded, hollow ones have moved to make up for them. Right: the "
    "error of the row’s output after each column."
)
HOW_TO_READ_LATTICE = (
    "Each point is a pair of codes; distance from the star is the error of the output that these "
    "two columns make. Inputs that go together skew the lattice, so that the nearest code of each "
    "weight is not the nearest point."
)
HOW_TO_READ_RATIOS = (
    "Columns are multiplied by mean |input| to the power of the ratio before they are rounded, and "
    "inputs divided by it. At 0 nothing is scaled."
)
HOW_TO_READ_ROTATION = (
    "Weights before and after a random rotation of both sides, in units of their standard "
    "deviation; the dashed line is a normal distribution. The layer computes the same."
)


def no_inputs(tensor: str) -> str:
    """Say why there is nothing to compare."""
    return f"{opening(the(tensor))} is looked up and not multiplied: no method can use its inputs."


def not_compared(tensor: str, type_name: str) -> str:
    """Say that methods were not compared on this matrix in this type."""
    return f"Methods have not been compared on **{the(tensor)}** in {type_name} yet."


def compared(tensor: str, rows: Sequence[MethodRow]) -> str:
    """Say what the best method does to output and weights, beside plain rounding."""
    plain = next((row for row in rows if row.by == RTN), None)
    best = min(rows, key=lambda row: row.output_error)
    if plain is None or best is plain:
        beaten = "" if len(rows) == 1 else "; no method does better"
        return (
            f"Plain rounding of **{the(tensor)}** to {best.asked} puts the output off by "
            f"**{percent(best.output_error)}**{beaten}."
        )
    smaller, moved = plain.output_error / best.output_error, best.weight_error / plain.weight_error
    weights = (
        f"and makes the weights’ {times(moved)} times as large"
        if moved > 1.05
        else f"and makes the weights’ {times(1 / moved)} times smaller as well"
        if moved < 0.95
        else "and leaves the weights’ as it was"
    )
    return (
        f"**{METHODS[best.by].title}** makes the output error of {the(tensor)} in {best.asked} "
        f"**{times(smaller)} times smaller** than rounding, {weights}."
    )


def trade(rows: Sequence[MethodRow]) -> str:
    """Say what GPTQ gives for what it gets; "" where it was not compared with rounding."""
    found = {row.by: row for row in rows}
    if RTN not in found or "gptq" not in found:
        return ""
    plain, gptq = found[RTN], found["gptq"]
    return (
        f"GPTQ moves the weights {times(gptq.weight_error / plain.weight_error)} times as far from "
        "the originals as plain rounding, and leaves "
        f"{percent(gptq.output_error / plain.output_error)} of its error in the output."
    )


def calibrated_on(n_tokens: int, text: str) -> str:
    """Say where the inputs come from."""
    return f"Inputs: {plural(n_tokens, 'token')} of {text}."


def plane(rows: Sequence[MethodRow], tensor: str) -> str:
    """Name the method that is best at most of the types."""
    types = dict.fromkeys(row.asked for row in rows)
    best = [min((r for r in rows if r.asked == t), key=lambda r: r.output_error) for t in types]
    wins = {by: sum(row.by == by for row in best) for by in dict.fromkeys(row.by for row in best)}
    leader = max(wins, key=wins.__getitem__)
    return (
        f"**{METHODS[leader].title}** has the smallest output error of {the(tensor)} in "
        f"**{wins[leader]} of {plural(len(types), 'format')}**."
    )


def places(found: ErrorByImportance, type_name: str, by: str) -> str:
    """Say where a method puts its errors."""
    low, high = found.errors[by][0], found.errors[by][-1]
    where = (
        f"**{times(low / high)} times** as much error into the columns with the smallest inputs "
        "as into those with the largest"
        if low > 1.05 * high
        else f"**{times(high / max(low, 1e-30))} times** as much error into the columns with the "
        "largest inputs as into those with the smallest"
        if high > 1.05 * low
        else "as much error into columns with large inputs as into the others"
    )
    return f"{METHODS[by].title} to {type_name} puts {where}."


def steps(row: int, at: PartWay, whole: Course) -> str:
    """Say how far the output is off after the columns that are rounded."""
    n_cols, n_done = len(at.weights), int(at.rounded.sum())
    if not n_done:
        return (
            f"Row {row}: nothing is rounded yet. After all {n_cols:,} columns GPTQ’s output will "
            f"be off by **{percent(whole.pushed[-1])}**, plain rounding’s by "
            f"{percent(whole.alone[-1])}."
        )
    done = f"all {n_cols:,} columns" if n_done == n_cols else f"{n_done:,} of {n_cols:,} columns"
    return (
        f"Row {row}, {done} rounded: the output is off by **{percent(at.output_error)}**; plain "
        f"rounding of the same columns leaves {percent(at.rounding_error)}."
    )


def lattice(row: int, pair: TwoColumns) -> str:
    """Say which points the two ways of rounding take, and how far these are."""
    one, two = pair.columns
    each, plane = pair.distance(pair.nearest_each), pair.distance(pair.nearest_plane)
    together = f"columns {one} and {two} (correlation {real_minus(f'{pair.correlation:.2f}')})"
    if pair.nearest_each == pair.nearest_plane:
        return f"In row {row}, both ways of rounding take the same point for {together}."
    return (
        f"In row {row}, rounding each weight of {together} by itself misses by "
        f"**{times(each / max(plane, 1e-30))} times** as much as GPTQ, which rounds one and lets "
        "the other make up for it."
    )


def other_rows(rows: Sequence[int], n_rows: int) -> str:
    """Say in how many rows the two ways take different points."""
    if not rows:
        return f"They take the same point in all {plural(n_rows, 'row')}."
    named = ", ".join(str(row) for row in rows[:3])
    such = "that is row" if len(rows) == 1 else "such as rows" if len(rows) > 3 else "rows"
    return f"They take different points in {len(rows)} of {plural(n_rows, 'row')}, {such} {named}."


def ratios(search: ScaleSearch, type_name: str, ranges: bool) -> str:
    """Say what scaling gains; `ranges` of groups are searched after it in integer formats."""
    best, gain = search.best_ratio, 1 - min(search.losses) / search.losses[0]
    if not best:
        return f"AWQ finds nothing to gain in {type_name}: every ratio is worse than none."
    return (
        f"Scaled at **ratio {best:.2f}**, AWQ takes {percent(gain)} off the squared error of the "
        f"output in {type_name}{', before it searches the ranges of groups' * ranges}."
    )


def rotated(tensor: str, before: Spread, after: Spread) -> str:
    """Say how far the largest weight stands out, before and after."""
    return (
        f"A rotation brings the largest weight of **{the(tensor)}** from {times(before.mu)} to "
        f"**{times(after.mu)} standard deviations**, and excess kurtosis from "
        f"{number(before.excess_kurtosis)} to {number(after.excess_kurtosis)}."
    )
