"""Page: how the weights of a tensor are distributed, and why that decides what a format loses."""

from dataclasses import asdict

import numpy as np
import streamlit as st

from pages.shared import cache, controls, frame, look, tables
from pages.shared.charts import layer_map
from pages.shared.charts import weights as charts
from pages.shared.palette import bits_colour
from pages.shared.units import exact, number, one_in, plural, signed, spoken, times
from quantcore.evaluate.statistics import OUTLIER_SIGMAS, normal_tail_shares

frame.enter(__file__)

MEASURES = {
    "tails": ("excess_kurtosis", "excess kurtosis", "0 for a normal distribution, 3 for a Laplace"),
    "reach": ("reach", "the largest weight in standard deviations", "what a scale must reach"),
    "outliers": ("outlier_share", f"share beyond {OUTLIER_SIGMAS:g} σ", "normal: 1 in 15,787"),
    "spread": ("standard_deviation", "the standard deviation", "how large a typical weight is"),
}
BOUND = {"bind": "query-params"}


def open_clicked() -> None:
    """Make the tensor of a clicked cell the chosen one."""
    if points := st.session_state["weights_map"].selection.points:
        st.session_state["tensor"] = points[0]["customdata"]


style, model = look.current(), controls.model()
st.title("Weights", anchor=False)
one, two, three = st.columns([2, 1, 1], vertical_alignment="bottom")
with one:
    tensor = controls.tensor()
shown = two.segmented_control(
    "Counts", ["linear", "log"], default="linear", required=True, key="counts",
    help="A log scale shows the rare large weights.", **BOUND,
)  # fmt: skip
bits = three.segmented_control(
    "Grid of so many bits", [2, 3, 4, 6, 8], default=4, required=True, key="grid",
    help="The ticks below the chart: all values that weights can take when the whole tensor shares "
    "one scale, as in `INT4_TENSOR`.", **BOUND,
)  # fmt: skip

name = controls.model_name()
found = cache.tensor_statistics(name, tensor)
counts, edges = cache.weight_counts(name, tensor, 201)
steps = 2 ** (bits - 1) - 1
lost = cache.tensor_error(name, tensor, f"INT{bits}_TENSOR").zeroed_share

st.space("small")
look.finding(
    f"The largest weight of **{spoken(tensor)}** lies {found.reach:.1f} standard deviations out; a {bits}-bit "
    f"grid that reaches it stores **{one_in(lost)}** weights as 0."
    if found.standard_deviation
    else f"All weights of **{spoken(tensor)}** are equal: one code says everything.",
    f"{plural(found.n_weights, 'weight')} in bins; σ, the standard deviation, is {exact(found.standard_deviation, 3)}. "
    f"Dashed: the normal distribution of the same spread. Ticks: the {2 * steps + 1} values that one scale "
    f"of {bits} bits for the whole tensor leaves; the coloured bars become 0.",
)
look.show(
    charts.distribution(
        counts,
        edges,
        found.mean,
        found.standard_deviation,
        style,
        log=shown == "log",
        grid=np.linspace(-found.largest, found.largest, 2 * steps + 1),
        grid_colour=bits_colour(bits, style),
    ),
    key="weights_histogram",
    alt=f"Histogram of {tensor}: standard deviation {found.standard_deviation:.3g}, largest weight "
    f"{found.largest:.3g}, beside a normal curve.",
)

st.space("small")
left, right = st.columns(2, gap="large")
sigmas = tuple(np.linspace(0, max(5.0, 1.05 * found.reach), 161).tolist())
shares = cache.tail_shares(name, tensor, sigmas)
expected = normal_tail_shares(sigmas)
normal_outliers = float(normal_tail_shares([OUTLIER_SIGMAS])[0])
with left:
    if not found.outlier_share:
        headline = f"**No weight** lies beyond {OUTLIER_SIGMAS:g} σ; of a normal distribution 1 in 15,787 would."
    elif found.outlier_share > 1.5 * normal_outliers:
        headline = (
            f"Beyond {OUTLIER_SIGMAS:g} σ lie **{times(found.outlier_share / normal_outliers)} times** as many "
            f"weights as in a normal distribution: {one_in(found.outlier_share)}."
        )
    else:
        headline = f"The tails are **no heavier** than a normal distribution’s: {one_in(found.outlier_share)} beyond 4 σ."
    look.finding(
        headline,
        f"Share of weights farther from the mean than so many σ, on a log scale; excess kurtosis "
        f"{signed(found.excess_kurtosis)} (0 is normal). Above the dashed line are outliers that widen the grid.",
    )
    look.show(
        charts.tails(np.array(sigmas), shares, expected, found.n_weights, style),
        key="weights_tails",
        alt=f"Share of weights beyond each distance in {tensor} and in a normal distribution.",
    )
rows, columns = cache.ranges(name, tensor, 0), cache.ranges(name, tensor, 1)
with right:
    by_row, by_column = (np.maximum(-r.minimum, r.maximum) for r in (rows, columns))
    uneven = [
        float(sizes.max() / np.median(sizes)) if sizes.any() else 1.0
        for sizes in (by_row, by_column)
    ]
    if max(uneven) < 1.25:
        headline = (
            "Rows and columns reach **about equally far**: a scale for each row gains little here."
        )
    else:
        which, other = ("row", "column") if uneven[0] >= uneven[1] else ("column", "row")
        headline = (
            f"The widest **{which}** reaches **{max(uneven):.1f} times** as far as the median one; for a "
            f"{other} it is {min(uneven):.1f} times."
        )
    look.finding(
        headline,
        "Pale: from the smallest to the largest weight of each row, then of each column. Dark: their root mean "
        "square. Both on one scale. A scale by row follows the first picture, never the second.",
    )
    look.show(
        charts.extremes(rows, columns, found.largest, style),
        key="weights_ranges",
        alt=f"Range of the weights by row and by column of {tensor}.",
    )

st.space("medium")
measure = st.segmented_control(
    "Compare tensors by", list(MEASURES), default="tails", required=True, key="measure",
    help="; ".join(f"**{key}**: {says}, {more}" for key, (_, says, more) in MEASURES.items()), **BOUND,
)  # fmt: skip
every = {each: cache.tensor_statistics(name, each) for each in model.quantizable}
field, says, more = MEASURES[measure]
values = {each: float(getattr(statistics, field)) for each, statistics in every.items()}
write = {"tails": signed, "outliers": one_in}.get(measure, number)
texts = {each: write(value) for each, value in values.items()}
most, least = max(values, key=values.get), min(values, key=values.get)
look.finding(
    f"**{spoken(most).capitalize()}** leads in {says}: **{texts[most]}**; {spoken(least)} is last with {texts[least]}.",
    f"{says.capitalize()} of every matrix ({more}). Stronger colour is more. Click a cell to open its tensor above.",
)
look.show(
    layer_map.layer_map(values, texts, tensor, style),
    key="weights_map",
    alt=f"Layers by roles, coloured by {says}; {most} has the most.",
    on_select=open_clicked,
    selection_mode="points",
)
listed = [
    {
        "tensor": each,
        "shape": " × ".join(map(str, model.tensors[each].shape)),
        "reach": s.reach,
        **asdict(s),
    }
    for each, s in every.items()
]
with st.expander("Table of all tensors"):
    tables.show(
        sorted(listed, key=lambda row: -row[field]),
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(
                key="standard_deviation",
                title="σ",
                show=lambda v: exact(v, 3),
                help="Standard deviation.",
            ),
            tables.Column(key="minimum", title="smallest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(key="maximum", title="largest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(
                key="reach",
                title="reach, σ",
                show=lambda v: f"{v:.1f}",
                help="Largest absolute value in σ.",
            ),
            tables.Column(
                key="excess_kurtosis",
                title="kurtosis",
                show=signed,
                help="Excess over the normal distribution’s.",
            ),
            tables.Column(key="outlier_share", title="beyond 4 σ", show=one_in),
        ],
        "weights_tensors",
        caption="Statistics of all tensors",
        chosen=tensor,
    )
