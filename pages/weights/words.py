"""The sentences of the page Weights: numbers in, text out."""

from collections.abc import Mapping

from pages.shared.units import exact, number, one_in, opening, plural, signed, the, times
from quantcore.evaluate.statistics import OUTLIER_SIGMAS, TensorStatistics, normal_tail_shares

PURPOSE = (
    "How the weights of one tensor are spread, and what its outliers cost when few bits have "
    "to reach them."
)
DEFINED = (
    "tensor, embedding, quantization, code, scale, grid, block, outlier, format, method, "
    "bits per weight, root mean square, σ, kurtosis"
).split(", ")
HOW_TO_READ_CODES = (
    "Each weight divided by the step of its block: what is left are whole numbers, as after "
    "training for quantization. The bars count the weights of each."
)

NORMAL_OUTLIERS = float(normal_tail_shares([OUTLIER_SIGMAS])[0])
MEASURES = {
    "tails": (
        "excess_kurtosis",
        "excess kurtosis",
        "0 for a normal distribution, 3 for Laplace’s",
    ),
    "reach": ("reach", "the largest weight in standard deviations", "how far a scale must reach"),
    "outliers": (
        "outlier_share",
        f"the share beyond {OUTLIER_SIGMAS:g} σ",
        f"{one_in(NORMAL_OUTLIERS)} for a normal distribution",
    ),
    "spread": ("standard_deviation", "the standard deviation", "the size of a typical weight"),
}


def worded(measure: str, value: float) -> str:
    """Word a statistic of the map."""
    return {"tails": signed, "outliers": one_in}.get(measure, number)(value)


def reach(tensor: str, statistics: TensorStatistics, bits: int, zeroed_share: float) -> str:
    """Say how far the largest weight lies out, and what a grid that reaches it costs."""
    if not statistics.standard_deviation:
        return f"All weights of **{the(tensor)}** are equal, so a single code stores them all."
    zeroed = f"**{one_in(zeroed_share)}** weights" if zeroed_share else "no weight"
    return (
        f"The largest weight of **{the(tensor)}** is {statistics.reach:.1f} standard deviations "
        f"from zero; {'an' if bits == 8 else 'a'} {bits}-bit grid wide enough to include it "
        f"rounds {zeroed} to zero."
    )


def how_to_read_counts(statistics: TensorStatistics, bits: int) -> str:
    """Explain the histogram."""
    return (
        f"{plural(statistics.n_weights, 'weight')} in bins; the standard deviation σ is "
        f"{exact(statistics.standard_deviation, 3)}. Dashed: the normal distribution of the same "
        f"spread. Ticks: the {2**bits - 1} values that are left when the whole tensor shares one "
        f"{bits}-bit scale; weights in the coloured bars become 0."
    )


def tails(statistics: TensorStatistics) -> str:
    """Compare the outliers with a normal distribution's."""
    ratio = statistics.outlier_share / NORMAL_OUTLIERS
    if not statistics.outlier_share:
        return (
            f"**No weight** is more than {OUTLIER_SIGMAS:g} σ from the mean; in a normal "
            f"distribution {one_in(NORMAL_OUTLIERS)} would be."
        )
    if ratio > 1.5:
        return (
            f"**{times(ratio)} times** as many weights as in a normal distribution are more than "
            f"{OUTLIER_SIGMAS:g} σ from the mean: {one_in(statistics.outlier_share)}."
        )
    return (
        "The tails are **no heavier** than a normal distribution’s: "
        f"{one_in(statistics.outlier_share)} beyond {OUTLIER_SIGMAS:g} σ."
    )


def how_to_read_tails(statistics: TensorStatistics) -> str:
    """Explain the survival curve."""
    return (
        "Share of weights more than this many σ from the mean, on a log scale. Where the line "
        "is above the dashed one, outliers widen the grid. Excess kurtosis: "
        f"{signed(statistics.excess_kurtosis)}; a normal distribution has 0."
    )


def ranges(by_row: float, by_column: float) -> str:
    """Compare the widest row and column with the median one; both as ratios."""
    if max(by_row, by_column) < 1.25:
        return "Rows and columns reach **about equally far**: one scale per row gains little."
    which, other = ("row", "column") if by_row >= by_column else ("column", "row")
    return (
        f"The widest **{which}** reaches **{times(max(by_row, by_column))} times** as far as the "
        f"median {which}, the widest {other} {times(min(by_row, by_column))} times as far."
    )


def leader(measure: str, values: Mapping[str, float]) -> str:
    """Name the tensors with the most and the least of a statistic."""
    most, least = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    return (
        f"**{opening(the(most))}** leads in {MEASURES[measure][1]}: "
        f"**{worded(measure, values[most])}**; {the(least)} is last with "
        f"{worded(measure, values[least])}."
    )
