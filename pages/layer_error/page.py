"""Page: which matrices lose most when the model is stored in a format, or in a mix."""

import math

import numpy as np
import streamlit as st

from pages.layer_error import cache, charts, words
from pages.shared import (
    bench,
    controls,
    frame,
    look,
    model_types,
    plans,
    tables,
)
from pages.shared.charts import layer_map
from pages.shared.palette import colour
from pages.shared.units import exact, percent, plural
from quantcore.formats import get_format
from quantcore.recipe.types import get_type

frame.enter("layer_error")

AT_MOST_ROWS = 512  # of a chart; neighbours are merged, the worst of them shown
COMPARED = (
    "Q8_0", "Q6_K", "Q5_1", "Q5_0", "Q5_K", "Q4_1", "Q4_0", "Q4_K", "Q3_K", "Q2_K",
    "INT8_ROW", "INT4_ROW", "INT4_G128", "INT4_TENSOR",
)  # fmt: skip
AT_FIRST = ("Q8_0", "Q6_K", "Q4_K", "Q4_0", "Q2_K", "INT4_ROW")  # of a model never measured before
style, model = look.current(), controls.model()


def clicked(chart: str, key: str) -> None:
    """Choose the tensor or the row that was clicked."""
    if place := controls.clicked(chart):
        st.session_state[key] = place[0]


def percents(type_name: str) -> dict[str, float]:
    """Error of every matrix in percent of its size; those that do not divide are left out."""
    errors = cache.model_errors(model.name, type_name)
    return {name: 100 * error.relative_rmse for name, error in errors.items()}


def format_of(type_name: str, name: str) -> str:
    """Format of a tensor in a type: in a mix they differ."""
    return plans.formats(model.name, type_name)[name]


def bits_of(format_name: str, name: str) -> float:
    """Bits a weight that a tensor takes in a format, scales included."""
    shape = model.tensors[name].shape
    return 8 * get_format(format_name).stored_bytes(shape) / math.prod(shape)


def in_words(type_name: str, name: str) -> str:
    """Name the format of a tensor where the type's name does not: "Q4_K_M (Q6_K)"."""
    return f"{type_name} ({format_of(type_name, name)})" if get_type(type_name).mix else type_name


st.title("Error by layer", anchor=False)
one, two, three = st.columns([2, 2, 2], vertical_alignment="bottom")
with one:
    pure = model_types.choose_way("errors_as", model_types.THROUGHOUT)
with two:
    type_name = model_types.type_(pure=pure)
with three:
    tensor = controls.tensor("Follow the tensor")
here = percents(type_name)
mix, few = get_type(type_name).mix, model.config.n_layers <= 15  # so that cells hold two lines
if not here:
    get_type(type_name).format.check(model.tensors[tensor].shape)  # says in a sentence why not
if tensor not in here:
    look.note(f"{tensor} does not divide into the blocks of {type_name}; another is followed.")
    tensor = max(here, key=here.get)

# ---- the map ------------------------------------------------------------------------------------

st.space("small")
formats = plans.formats(model.name, type_name)
look.finding(
    words.extremes(type_name, here), f"{words.which(type_name, formats)} {words.HOW_TO_READ_MAP}"
)
if copies := model_types.copies(model, type_name):
    look.note(copies)
left, right = st.columns([3, 2], gap="large")
with left:
    look.show(
        layer_map.layer_map(here, words.cells(here, formats if mix and few else {}), tensor, style),
        key="layer_map",
        alt=f"Error by layer and role in {type_name}; worst is {max(here, key=here.get)}.",
        on_select=lambda: clicked("layer_map", "tensor"),
        selection_mode="points",
    )
with right:
    look.show(
        charts.worst_tensors(here, 16, tensor, style, formats if mix else {}),
        key="layer_worst",
        alt=f"The worst matrices in {type_name}, sorted.",
        on_select=lambda: clicked("layer_worst", "tensor"),
        selection_mode="points",
    )

# ---- types side by side -------------------------------------------------------------------------

st.space("medium")
at_first = COMPARED if bench.is_shipped(model.name) else AT_FIRST
compared = model_types.types("Types to compare", pure=pure, default=at_first)
every = {name: percents(name) for name in dict.fromkeys([*compared, type_name])}
every = {name: errors for name, errors in every.items() if errors}
every = dict(sorted(every.items(), key=lambda item: float(np.mean(list(item[1].values())))))
left, right = st.columns([3, 2], gap="large")
with left:
    look.finding(
        words.side_by_side(every),
        "The map of every type on one colour scale, so that colours compare across them; layers "
        "down and roles along, as above. The number is the mean over all matrices.",
    )
    look.show(
        charts.small_maps(every, style, columns=2 if look.narrow() else 4),
        key="layer_small",
        alt=f"The error map of {plural(len(every), 'type')} on one scale.",
    )
with right:
    profile = {format_of(n, tensor): e[tensor] for n, e in every.items() if e.get(tensor)}
    bits = {name: bits_of(name, tensor) for name in profile}
    format_name = format_of(type_name, tensor)
    look.finding(
        words.profile(tensor, format_name, profile, bits),
        "This tensor in every format that these types give it: left is smaller, down is closer. "
        "The line joins the formats that no other beats at both.",
    )
    if profile:
        look.show(
            charts.profile(profile, bits, format_name, style),
            key="layer_profile",
            alt=f"Error against bits a weight of {tensor} in {plural(len(profile), 'format')}.",
        )

# ---- rows ---------------------------------------------------------------------------------------

st.space("medium")
by_row = 100 * cache.row_errors(model.name, tensor, format_name)
first = np.arange(0, by_row.size, -(-by_row.size // AT_MOST_ROWS))
look.finding(
    words.rows(tensor, by_row),
    f"Error of each row in {in_words(type_name, tensor)}, in percent of that row’s own size. Click "
    "one to choose it.",
)
places = st.container(horizontal=True, gap="medium", vertical_alignment="bottom")
with places:
    row = controls.row(by_row.size, start=int(by_row.argmax()), width=150)
look.show(
    charts.error_by_row(
        first,
        np.maximum.reduceat(by_row, first),
        row,
        here[tensor],
        colour(format_name, style),
        style,
    ),
    key="layer_rows",
    alt=f"Error of {plural(by_row.size, 'row')} of {tensor} in {type_name}; the worst is row "
    f"{int(by_row.argmax())}.",
    on_select=lambda: clicked("layer_rows", "row"),
    selection_mode="points",
)
with places:
    for page, label in (
        ("block", f"Row {row} under the microscope"),
        ("scales", "Scales of this tensor"),
        ("weights", "Weights of this tensor"),
    ):
        arrow = {"icon": ":material/arrow_forward:", "icon_position": "right", "type": "tertiary"}
        if st.button(label, key=f"layer_to_{page}", **arrow):
            controls.go(page, tensor=tensor, type=format_name, row=row)

# ---- the table ----------------------------------------------------------------------------------

with st.expander(f"Table of all matrices in {type_name}"):
    found = cache.model_errors(model.name, type_name)
    tables.show(
        [
            {
                "tensor": name,
                "shape": " × ".join(map(str, model.tensors[name].shape)),
                "format": formats[name],
                "bits_per_weight": bits_of(formats[name], name),
                "relative_rmse": found[name].relative_rmse,
                "sqnr_db": found[name].sqnr_db,
                "max_abs_error": found[name].max_abs_error,
                "cosine": found[name].cosine,
                "clipped_share": found[name].clipped_share,
                "zeroed_share": found[name].zeroed_share,
            }
            for name in sorted(here, key=here.get, reverse=True)
        ],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="format", title="format", text=True, wide=not mix),
            tables.Column(key="bits_per_weight", title="bits", show="{:.4g}".format, wide=True),
            tables.Column(key="relative_rmse", title="error", show=percent,
                          help="Root mean square error over the weights’ own root mean square."),
            tables.Column(key="sqnr_db", title="SQNR, dB", show=lambda v: f"{v:.1f}",
                          help="The same as signal-to-noise ratio: about 6 dB a bit."),
            tables.Column(key="max_abs_error", title="largest", show=lambda v: exact(v, 2),
                          wide=True, help="Largest absolute error of one weight."),
            tables.Column(key="cosine", title="1 − cosine", show=lambda v: exact(1 - v, 2),
                          wide=True, help="0 where the weights keep their direction."),
            tables.Column(key="clipped_share", title="cut off", show=percent, wide=True,
                          help="Share of weights beyond the ends of their grid."),
            tables.Column(key="zeroed_share", title="zeroed", show=percent,
                          help="Share of weights other than 0 that come back as 0."),
        ],
        "layer_error",
        caption=f"Error of all matrices in {type_name}",
        chosen=tensor,
    )  # fmt: skip
