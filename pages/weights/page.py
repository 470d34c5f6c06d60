"""Page: how the weights of a tensor are distributed, and why that decides what a format loses."""

import numpy as np
import streamlit as st

from pages.shared import controls, definitions, look, own_grid, saving, stored, tensors
from pages.shared.palette import Look, bits_colour
from pages.shared.units import exact
from pages.weights import cache, charts, words
from pages.weights.comparison import compare_tensors
from quantcore.evaluate.statistics import normal_tail_shares
from quantcore.model.source import Model


def main() -> None:
    """Draw the page."""
    definitions.head("Weights", words.PURPOSE, words.DEFINED)
    model, style = controls.model(), look.current()
    columns = st.columns([2, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        tensor = controls.tensor()
    saving.of(model.name, tensor)
    stored.note(model, tensor)
    counts_on = columns[1].segmented_control(
        "Counts", ["linear", "log"], default="linear", required=True, key="counts",
        help="A log scale makes the rare large weights visible.", **controls.BOUND,
    )  # fmt: skip
    bits = columns[2].segmented_control(
        "Bits in the grid", [2, 3, 4, 6, 8], default=4, required=True, key="grid",
        help="The ticks below the chart: all values that are left when the whole tensor shares one "
        "scale, as in `INT4_TENSOR`.", **controls.BOUND,
    )  # fmt: skip
    st.space("small")
    draw_distribution(model, tensor, bits, style, log=counts_on == "log")
    draw_own_grid(model, tensor, style)
    st.space("small")
    left, right = st.columns(2, gap="large")
    with left:
        draw_tails(model, tensor, style)
    with right:
        draw_ranges(model, tensor, style)
    st.space("medium")
    compare_tensors(model, tensor, style)


def draw_distribution(model: Model, tensor: str, bits: int, style: Look, *, log: bool) -> None:
    """Draw the histogram of a tensor beside a normal curve, and a grid of this many bits below."""
    statistics = cache.tensor_statistics(model.name, tensor)
    zeroed = tensors.tensor_error(model.name, tensor, f"INT{bits}_TENSOR").zeroed_share
    look.finding(
        words.reach(tensor, statistics, bits, zeroed),
        words.how_to_read_counts(statistics, bits),
        help="Standard deviation: how far a typical weight is from the mean.",
    )
    look.show(
        charts.distribution(
            *cache.weight_counts(model.name, tensor, 201),
            statistics.mean,
            statistics.standard_deviation,
            style,
            log=log,
            grid=np.linspace(-statistics.largest, statistics.largest, 2**bits - 1),
            grid_colour=bits_colour(bits, style),
        ),
        key="weights_histogram",
        alt=f"Histogram of {tensor}: standard deviation {exact(statistics.standard_deviation, 3)}, "
        f"largest weight {exact(statistics.largest, 3)}, with a normal curve.",
    )


def draw_own_grid(model: Model, tensor: str, style: Look) -> None:
    """Draw the codes of weights that are on a grid already; nothing for ordinary ones."""
    report = cache.own_grid(model.name, tensor)
    if report is None:
        return
    st.space("small")
    look.finding(own_grid.found(tensor, report), words.HOW_TO_READ_CODES)
    look.show(
        charts.codes(
            report.counts,
            report.lowest,
            bits_colour(report.bits, style),
            style,
            narrow=look.narrow(),
        ),
        key="weights_codes",
        alt=f"Weights of {tensor} by their code on the grid that they are on already.",
    )
    look.say(own_grid.plain_rounding(report))
    look.note(own_grid.how_sure(report))


def draw_tails(model: Model, tensor: str, style: Look) -> None:
    """Draw how many weights lie beyond each distance, beside a normal distribution."""
    statistics = cache.tensor_statistics(model.name, tensor)
    sigmas = tuple(np.linspace(0, max(5.0, 1.05 * statistics.reach), 161).tolist())
    shares, normal = cache.tail_shares(model.name, tensor, sigmas), normal_tail_shares(sigmas)
    look.finding(
        words.tails(statistics),
        words.how_to_read_tails(statistics),
        help=definitions.says("kurtosis"),
    )
    look.show(
        charts.tails(np.array(sigmas), shares, normal, statistics.n_weights, style),
        key="weights_tails",
        alt=f"Share of weights beyond each distance from the mean, in {tensor} and in a normal "
        "distribution.",
    )


def draw_ranges(model: Model, tensor: str, style: Look) -> None:
    """Draw how far each row and each column reaches, and the way to the widest row."""
    rows, columns = (cache.ranges(model.name, tensor, axis) for axis in (0, 1))
    largest = cache.tensor_statistics(model.name, tensor).largest
    look.finding(
        words.ranges(rows.widest_to_median, columns.widest_to_median),
        "Pale: from the smallest to the largest weight of each row (left) and of each column "
        "(right). Dark: their root mean square. One scale per row can adapt to the left picture, "
        "but not to the right one.",
    )
    look.show(
        charts.extremes(rows, columns, largest, style),
        key="weights_ranges",
        alt=f"Range of the weights in each row and in each column of {tensor}.",
    )
    label = f"Row {rows.widest} under the microscope"
    controls.link("block", label, "weights_to_block", tensor=tensor, row=rows.widest)
