"""Page: which matrices lose most when the model is stored in a format."""

import math

import numpy as np
import streamlit as st

from pages.shared import cache, controls, frame, look, tables
from pages.shared.charts import layer_error as charts
from pages.shared.charts import layer_map
from pages.shared.palette import colour
from pages.shared.units import exact, percent, plural, spoken, times
from quantcore.formats import get_format

frame.enter(__file__)

SHOWN_ROWS = 512
COMPARED = (
    "Q8_0", "Q6_K", "Q5_1", "Q5_0", "Q5_K", "Q4_1", "Q4_0", "Q4_K", "Q3_K", "Q2_K",
    "INT8_ROW", "INT4_ROW", "INT4_G128", "INT4_TENSOR",
)  # fmt: skip


def clicked(chart: str, state: str) -> None:
    """Choose the tensor or row that was clicked."""
    if points := st.session_state[chart].selection.points:
        found = points[0]["customdata"]
        st.session_state[state] = found[0] if isinstance(found, list) else found


def errors_of(type_name: str) -> dict:
    """Error of every tensor in a format, by name; tensors that do not divide are left out."""
    return cache.model_errors(controls.model_name(), type_name)


def in_percent(errors: dict) -> dict[str, float]:
    """Relative root mean square error in percent."""
    return {name: 100 * error.relative_rmse for name, error in errors.items()}


def alike(some: dict[str, float], others: dict[str, float]) -> bool:
    """Return whether two formats find the same matrices weak, by their correlation."""
    names = [name for name in some if name in others]
    pairs = np.array([[some[name], others[name]] for name in names]).T
    return len(names) > 2 and bool(pairs.std(axis=1).all()) and np.corrcoef(pairs)[0, 1] > 0.6


def shape_of(name: str) -> tuple[int, int]:
    """Rows and columns of a tensor."""
    return model.tensors[name].shape


def bits_of(type_name: str, name: str) -> float:
    """Bits a weight that a tensor takes in a format, scales included."""
    return 8 * get_format(type_name).stored_bytes(shape_of(name)) / math.prod(shape_of(name))


style, model = look.current(), controls.model()
st.title("Error by layer", anchor=False)
one, two, _ = st.columns([1, 2, 2], vertical_alignment="bottom")
with one:
    type_name = controls.type_(default="Q4_K")

here = in_percent(errors_of(type_name))
if not here:
    st.info(f"No matrix of this model can be stored in {type_name}: its rows do not divide.")
    st.stop()
order = sorted(here, key=here.get, reverse=True)
worst, best = order[0], order[-1]
with two:
    selected = controls.tensor("Follow the tensor")
selected = selected if selected in here else worst

st.space("small")
if not here[worst]:
    headline = f"In **{type_name}** no matrix loses anything: every weight comes back as it was."
elif here[worst] < 1.1 * here[best]:
    headline = (
        f"In **{type_name}** all matrices lose about the same: **{charts.three(here[worst])} %** of their size "
        f"at most, {charts.three(here[best])} % at least."
    )
else:
    headline = (
        f"In **{type_name}**, **{spoken(worst)}** moves most: its weights change by {charts.three(here[worst])} % of "
        f"their size. {spoken(best).capitalize()} moves least: {charts.three(here[best])} %."
    )
look.finding(
    headline,
    "Root mean square error of each matrix, in percent of the matrix’s own root mean square. Stronger colour is "
    "worse within this format. Click a cell or a bar to follow a tensor.",
)
left, right = st.columns([3, 2], gap="large")
with left:
    look.show(
        layer_map.layer_map(
            here, {name: charts.three(value) for name, value in here.items()}, selected, style
        ),
        key="layer_map",
        alt=f"Error by layer and role in {type_name}; the worst matrix is {worst}.",
        on_select=lambda: clicked("layer_map", "tensor"),
        selection_mode="points",
    )
with right:
    look.show(
        charts.worst_tensors(here, 14, selected, style),
        key="layer_worst",
        alt=f"The worst matrices in {type_name}, sorted; {worst} first.",
        on_select=lambda: clicked("layer_worst", "tensor"),
        selection_mode="points",
    )

st.space("medium")
compared = controls.types("Formats to compare", default=COMPARED)
every = {name: in_percent(errors_of(name)) for name in dict.fromkeys([*compared, type_name])}
every = {name: errors for name, errors in every.items() if errors}
every = dict(sorted(every.items(), key=lambda item: np.mean(list(item[1].values()))))
means = {name: float(np.mean(list(errors.values()))) for name, errors in every.items()}
left, right = st.columns([3, 2], gap="large")
with left:
    least, most = next(iter(means)), list(means)[-1]
    if len(every) == 1 or not means[least]:
        headline = f"**{most}** loses {charts.three(means[most])} % on average."
    else:
        headline = (
            f"From {least} to {most} the error grows **{times(means[most] / means[least])} times**; "
            + ("which matrices are weak stays much the same." if alike(every[least], every[most])
               else "which matrices are weak changes.")
        )  # fmt: skip
    look.finding(
        headline,
        "The map of every format on one colour scale, so that colours compare across them, layers down and roles "
        "along as above. The number is the mean over all matrices.",
    )
    look.show(
        charts.small_maps(every, style, columns=2 if look.narrow() else 4),
        key="layer_small",
        alt=f"The error map of {plural(len(every), 'format')} on one scale.",
    )
profile = {name: errors[selected] for name, errors in every.items() if errors.get(selected)}
bits = {name: bits_of(name, selected) for name in profile}
with right:
    headline = f"**{spoken(selected).capitalize()}** in the formats above."
    rivals = [name for name in profile if name != type_name]
    if type_name in profile and rivals:
        rival = min(rivals, key=lambda name: (abs(bits[name] - bits[type_name]), profile[name]))
        headline = (
            f"**{spoken(selected).capitalize()}** loses {charts.three(profile[type_name])} % in {type_name} at "
            f"{bits[type_name]:.3g} bits, {charts.three(profile[rival])} % in {rival} at {bits[rival]:.3g}."
        )
    look.finding(
        headline,
        "This tensor in every format: left is smaller, down is closer. The line joins the formats that no other "
        "beats at both.",
    )
    if profile:
        look.show(
            charts.profile(profile, bits, type_name, style),
            key="layer_profile",
            alt=f"Error against bits a weight of {selected} in {plural(len(profile), 'format')}.",
        )

st.space("medium")
rows = 100 * cache.row_errors(controls.model_name(), selected, type_name)
step = -(-rows.size // SHOWN_ROWS)
first = np.arange(0, rows.size, step)
highest = np.maximum.reduceat(rows, first)
worst_row = int(rows.argmax())
spread = float(rows.max() / np.median(rows)) if np.median(rows) else 0.0
look.finding(
    f"Row {worst_row} of **{spoken(selected)}** is the worst: **{charts.three(float(rows.max()))} %** of its size, "
    f"{times(spread)} times the median row."
    if spread > 1.15
    else f"All rows of **{spoken(selected)}** lose about as much: {charts.three(float(rows.min()))} to "
    f"**{charts.three(float(rows.max()))} %** of their size.",
    f"Error of each row in {type_name}, in percent of that row’s own size. Click a row to choose it for the microscope.",
)
row = min(int(st.session_state.get("row", worst_row)), rows.size - 1)
look.show(
    charts.error_by_row(first, highest, row, here[selected], colour(type_name, style), style),
    key="layer_rows",
    alt=f"Error of {plural(rows.size, 'row')} of {selected} in {type_name}; row {worst_row} is the worst.",
    on_select=lambda: clicked("layer_rows", "row"),
    selection_mode="points",
)
with st.container(horizontal=True):
    places = (("block", f"Row {row} under the microscope"), ("scales", "Its scales"), ("weights", "Its weights"))
    for page, label in places:
        if st.button(label, icon=":material/arrow_forward:", icon_position="right", type="tertiary", key=f"go_{page}"):
            controls.go(page, tensor=selected, type=type_name, row=row)

found = errors_of(type_name)
with st.expander(f"Table of all matrices in {type_name}"):
    tables.show(
        [
            {
                "tensor": name,
                "shape": " × ".join(map(str, shape_of(name))),
                "bits_per_weight": bits_of(type_name, name),
                "relative_rmse": found[name].relative_rmse,
                "sqnr_db": found[name].sqnr_db,
                "max_abs_error": found[name].max_abs_error,
                "cosine": found[name].cosine,
                "clipped_share": found[name].clipped_share,
                "zeroed_share": found[name].zeroed_share,
            }
            for name in order
        ],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(
                key="relative_rmse", title="error", show=percent,
                help="Root mean square error over the weights’ own root mean square.",
            ),
            tables.Column(
                key="sqnr_db", title="SQNR, dB", show=lambda v: f"{v:.1f}",
                help="The same as signal-to-noise ratio: about 6 dB a bit.",
            ),
            tables.Column(key="max_abs_error", title="largest", show=lambda v: exact(v, 2), wide=True,
                          help="Largest absolute error of one weight."),
            tables.Column(key="cosine", title="1 − cosine", show=lambda v: exact(1 - v, 2), wide=True,
                          help="Of the angle between the weights and what comes back; 0 is parallel."),
            tables.Column(key="clipped_share", title="cut off", show=percent, wide=True,
                          help="Share of weights beyond the ends of their grid."),
            tables.Column(key="zeroed_share", title="zeroed", show=percent,
                          help="Share of weights that were not 0 and come back as 0."),
        ],
        "layer_error",
        caption=f"Error of all matrices in {type_name}",
        chosen=selected,
    )  # fmt: skip
