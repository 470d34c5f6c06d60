"""Page: how the weights of a tensor are distributed, and why that decides what a format loses."""

from dataclasses import asdict

import numpy as np
import streamlit as st

from pages.shared import (
    controls,
    frame,
    look,
    tables,
    tensors,
)
from pages.shared.charts import layer_map
from pages.shared.palette import bits_colour
from pages.shared.units import exact, one_in, signed
from pages.weights import cache, charts, words
from quantcore.evaluate.statistics import normal_tail_shares

frame.enter("weights")
style, model = look.current(), controls.model()

st.title("Weights", anchor=False)
one, two, three = st.columns([2, 1, 1], vertical_alignment="bottom")
with one:
    tensor = controls.tensor()
counts_on = two.segmented_control(
    "Counts", ["linear", "log"], default="linear", required=True, key="counts",
    help="A log scale shows the rare large weights.", **controls.BOUND,
)  # fmt: skip
bits = three.segmented_control(
    "Grid of so many bits", [2, 3, 4, 6, 8], default=4, required=True, key="grid",
    help="The ticks below the chart: all values that weights can take when the whole tensor shares "
    "one scale, as in `INT4_TENSOR`.", **controls.BOUND,
)  # fmt: skip
found = cache.tensor_statistics(model.name, tensor)

# ---- the distribution ---------------------------------------------------------------------------

zeroed = tensors.tensor_error(model.name, tensor, f"INT{bits}_TENSOR").zeroed_share
st.space("small")
look.finding(
    words.reach(tensor, found, bits, zeroed),
    words.how_to_read_counts(found, bits),
    help="Standard deviation: how far a typical weight lies from the mean.",
)
look.show(
    charts.distribution(
        *cache.weight_counts(model.name, tensor, 201),
        found.mean,
        found.standard_deviation,
        style,
        log=counts_on == "log",
        grid=np.linspace(-found.largest, found.largest, 2**bits - 1),
        grid_colour=bits_colour(bits, style),
    ),
    key="weights_histogram",
    alt=f"Histogram of {tensor}: standard deviation {found.standard_deviation:.3g}, largest weight "
    f"{found.largest:.3g}, beside a normal curve.",
)

# ---- tails, rows and columns --------------------------------------------------------------------

st.space("small")
left, right = st.columns(2, gap="large")
with left:
    sigmas = tuple(np.linspace(0, max(5.0, 1.05 * found.reach), 161).tolist())
    look.finding(
        words.tails(found),
        words.how_to_read_tails(found),
        help="Excess kurtosis: how much weight the tails have beside a normal distribution’s.",
    )
    look.show(
        charts.tails(
            np.array(sigmas),
            cache.tail_shares(model.name, tensor, sigmas),
            normal_tail_shares(sigmas),
            found.n_weights,
            style,
        ),
        key="weights_tails",
        alt=f"Share of weights beyond each distance in {tensor} and in a normal distribution.",
    )
with right:
    ranges = [cache.ranges(model.name, tensor, axis) for axis in (0, 1)]
    reached = [np.maximum(-each.minimum, each.maximum) for each in ranges]
    uneven = [float(size.max() / (np.median(size) or size.max() or 1)) for size in reached]
    look.finding(
        words.ranges(*uneven),
        "Pale: from the smallest to the largest weight of each row, then of each column. Dark: "
        "their root mean square. A scale by row follows the first picture, never the second.",
    )
    look.show(
        charts.extremes(*ranges, found.largest, style),
        key="weights_ranges",
        alt=f"Range of the weights by row and by column of {tensor}.",
    )
    row = int(ranges[0].first[reached[0].argmax()])
    arrow = {"icon": ":material/arrow_forward:", "icon_position": "right", "type": "tertiary"}
    if st.button(f"Row {row} under the microscope", key="weights_to_block", **arrow):
        controls.go("block", tensor=tensor, row=row)

# ---- all tensors --------------------------------------------------------------------------------


def open_clicked() -> None:
    """Make the tensor of a clicked cell the chosen one."""
    if place := controls.clicked("weights_map"):
        st.session_state["tensor"] = place[0]


st.space("medium")
measure = st.segmented_control(
    "Compare tensors by", list(words.MEASURES), default="tails", required=True, key="measure",
    help="; ".join(f"**{key}**: {says}, {more}" for key, (_, says, more) in words.MEASURES.items()),
    **controls.BOUND,
)  # fmt: skip
field, says, more = words.MEASURES[measure]
every = cache.model_statistics(model.name)
values = {name: float(getattr(statistics, field)) for name, statistics in every.items()}
look.finding(
    words.leader(measure, values),
    f"{says[0].upper()}{says[1:]} of every matrix: {more}. Stronger colour is more. Click a cell "
    "to open its tensor above.",
)
look.show(
    layer_map.layer_map(
        values, {name: words.worded(measure, v) for name, v in values.items()}, tensor, style
    ),
    key="weights_map",
    alt=f"Layers by roles, coloured by {says}; {max(values, key=values.get)} has the most.",
    on_select=open_clicked,
    selection_mode="points",
)
with st.expander("Table of all tensors"):
    listed = [
        {
            "tensor": name,
            "shape": " × ".join(map(str, model.tensors[name].shape)),
            "reach": statistics.reach,
            **asdict(statistics),
        }
        for name, statistics in every.items()
    ]
    tables.show(
        sorted(listed, key=lambda row: -row[field]),
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="standard_deviation", title="σ", show=lambda v: exact(v, 3),
                          help="Standard deviation."),
            tables.Column(key="minimum", title="smallest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(key="maximum", title="largest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(key="reach", title="reach, σ", show=lambda v: f"{v:.1f}",
                          help="Largest absolute value in standard deviations."),
            tables.Column(key="excess_kurtosis", title="kurtosis", show=signed,
                          help="Excess over a normal distribution’s."),
            tables.Column(key="outlier_share", title="beyond 4 σ", show=one_in),
        ],
        "weights_tensors",
        caption="Statistics of all tensors",
        chosen=tensor,
    )  # fmt: skip
