"""Page: scale factors and minima: how large, where, what they cost, and how they lie in the bytes."""

import numpy as np
import streamlit as st

from pages.shared import cache, controls, frame, look, tables
from pages.shared.charts import scales as charts
from pages.shared.palette import colour
from pages.shared.units import exact, percent, plural, spoken, times
from quantcore.formats import FORMATS, get_format
from quantcore.formats.layout import block_length, sub_scale_bits

frame.enter(__file__)

AT_MOST = 256  # rows and columns of the map
SPANS = ("TENSOR", "ROW", "G256", "G128", "G64", "G32", "G16")
BOUND = {"bind": "query-params"}


def fits(type_name: str) -> bool:
    """Return whether the tensor's rows divide into the format's blocks."""
    try:
        get_format(type_name).check(shape)
    except ValueError:
        return False
    return True


def merged(sizes: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the largest of neighbours until `AT_MOST` are left; also the first of each."""
    step = -(-sizes.shape[axis] // AT_MOST)
    first = np.arange(0, sizes.shape[axis], step)
    return np.maximum.reduceat(sizes, first, axis=axis), first


def choose_place() -> None:
    """Take over row and block of a clicked scale."""
    if points := st.session_state["scales_map"].selection.points:
        row, scale = points[0]["customdata"]
        st.session_state["row"] = int(row)
        st.session_state["block"] = int(scale) // per_block


style, model = look.current(), controls.model()
st.title("Scales", anchor=False)
one, two, three = st.columns([2, 3, 2], vertical_alignment="bottom")
with one:
    type_name = controls.type_(default="Q4_K")
with two:
    tensor = controls.tensor()
fmt, shape = get_format(type_name), model.tensors[tensor].shape
fmt.check(shape)
n_weights = shape[0] * shape[1]
name = controls.model_name()
factors = cache.scale_factors(name, tensor, type_name)
shown = "scales"
if factors.minimums is not None:
    with three:
        shown = st.segmented_control(
            "Look at", ["scales", "minima"], default="scales", required=True, key="factor",
            help="A scale is the step of the grid, a minimum is what is taken off all its values.",
            **BOUND,
        )  # fmt: skip

# What scales cost, and what they save.
st.space("small")
bits = min(fmt.code_bits, 8)
rivals = [f"INT{bits}_{span}" for span in SPANS]
rivals += [each for each, other in FORMATS.items() if other.code_bits == bits]
if fmt.code_bits <= 8:
    rivals.append(type_name)
rivals = [each for each in dict.fromkeys(rivals) if fits(each) and f"_G{shape[1]}" not in each]
paid = {
    each: 8 * get_format(each).stored_bytes(shape) / n_weights - get_format(each).code_bits
    for each in rivals
}
lost = {each: 100 * cache.tensor_error(name, tensor, each).relative_rmse for each in rivals}
coarse = f"INT{bits}_TENSOR"
fine = min((each for each in rivals if each.startswith("INT")), key=lost.get)
look.finding(
    f"One scale for the whole tensor leaves an error of **{percent(lost[coarse] / 100)}**; {fine} pays "
    f"{paid[fine]:.3g} {'bit' if paid[fine] == 1 else 'bits'} a weight for scales and leaves **{percent(lost[fine] / 100)}**.",
    f"**{spoken(tensor).capitalize()}** in codes of {bits} bits. To the right: bits a weight for scales and minima; "
    "down: closer to the original. The line joins integers whose scale covers ever fewer weights.",
)
look.show(
    charts.cost(paid, lost, type_name, style, narrow=look.narrow()),
    key="scales_cost",
    alt=f"Error against bits spent on scales, {plural(len(rivals), 'format')} of {bits} bits.",
)

# How large they are, and where.
st.space("medium")
sizes = np.abs(factors.scales if shown == "scales" else factors.minimums)
word = "scale" if shown == "scales" else "minimum"
tone = style.fields["minimum"] if shown == "minima" else colour(type_name, style)
each_covers = f"one for {plural(factors.weights_per_scale, 'weight')}"
if not sizes.size:
    look.finding(
        f"**{type_name}** has no scales: every weight is a float of its own.",
        "Choose a format with blocks to see its scales.",
    )
elif sizes.size == 1:
    look.finding(
        f"**{type_name}** has a single {word} for all {n_weights:,} weights: **{exact(float(sizes[0, 0]))}**.",
        f"The grid of every weight has this step; {factors.overhead_bits:.2g} bits a weight pay for it.",
    )
else:
    per_block = max(1, block_length(fmt, shape[1]) // factors.weights_per_scale)
    middle, most = float(np.median(sizes)), float(sizes.max())
    row, place = np.unravel_index(int(sizes.argmax()), sizes.shape)
    left, right = st.columns(2, gap="large")
    with left:
        look.finding(
            f"**{type_name}** keeps {plural(sizes.size, word, 'minima' if shown == 'minima' else None)}, {each_covers}; "
            f"the largest is **{times(most / middle) if middle else 'infinitely many'} times** the median.",
            f"How many have which size{'' if shown == 'minima' else ', signs left out'}. They take "
            f"{factors.overhead_bits:.4g} of {8 * fmt.stored_bytes(shape) / n_weights:.4g} bits a weight.",
        )
        counts, edges = np.histogram(sizes, bins=60, range=(0, most or 1.0))
        look.show(
            charts.spread(counts, edges, {"median": middle, "largest": most}, word, tone, style),
            key="scales_spread",
            alt=f"Histogram of {sizes.size} scales of {tensor} in {type_name}.",
        )
    with right:
        by_row, by_column = sizes.max(axis=1), sizes.max(axis=0)
        uneven = [float(s.max() / np.median(s)) if np.median(s) else 1.0 for s in (by_row, by_column)]
        look.finding(
            f"The largest lies in **row {row}**, weights {place * factors.weights_per_scale} to "
            f"{(place + 1) * factors.weights_per_scale - 1}."
            if shape[1] > factors.weights_per_scale
            else f"The largest belongs to **row {row}**.",
            f"Each {word} where it lies; stronger colour is larger, the ring is the largest. "
            + ("Stripes across are rows of large weights." if uneven[0] >= uneven[1] else "Stripes down are columns of large weights.")
            + " Click to choose a block.",
        )
        rows, first_row = merged(sizes, 0)
        grid, first_column = merged(rows, 1)
        look.show(
            charts.scale_map(grid, first_row, first_column, tone, style),
            key="scales_map",
            alt=f"Map of {plural(sizes.size, word, 'minima')} of {tensor}; the largest is in row {row}.",
            on_select=choose_place,
            selection_mode="points",
        )

# How a super-block stores them.
picture = type_name if sub_scale_bits(type_name) else "Q4_K"
if fits(picture):
    st.space("medium")
    layout, packed = sub_scale_bits(picture), cache.packed(name, tensor, picture)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = controls.row(shape[0], width=150)
        block = controls.block(shape[1] // 256, width=150)
        opened = get_format(picture).open_block(packed, row, block)
        chosen = controls.part(len(opened.parts), start=5, width=150)
        if st.button("Under the microscope", type="tertiary", icon=":material/arrow_forward:", icon_position="right", key="go_block"):
            controls.go("block", type=picture, tensor=tensor, row=row, block=block, part=chosen, example="From the model")
    part = opened.parts[chosen]
    above = cache.scale_factors(name, tensor, picture)
    stored = part.scale_code
    scale_of_scales = float(above.super_scales[row, block])
    n_bytes = len({byte for byte, _ in layout.scales[chosen]})
    minus = f" − {layout.offset}" if layout.offset else ""
    look.finding(
        f"Sub-block {chosen}: its scale is stored as **{stored}**, {plural(len(layout.scales[chosen]), 'bit')} in "
        f"{plural(n_bytes, 'byte')}; times the super-block’s {exact(scale_of_scales)} that is {exact(part.scale)}.",
        f"{'' if picture == type_name else f'{type_name} has no super-blocks, so this is {picture}. '}"
        f"The bytes of the sub-scales as they lie in row {row}, block {block}, a column a byte, bit 7 on top. Strong: the bits of "
        f"the chosen sub-block{', scale and minimum in two colours' if layout.minimums else ''}. "
        f"Small numbers of {len(layout.scales[0])} bits instead of 16 keep "
        f"{plural(len(layout.scales), 'sub-block')} cheap{'; the stored number is read' + minus if minus else ''}.",
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        look.show(
            charts.bit_picture(opened.packed, layout, chosen, style),
            key="scales_bits",
            alt=f"Bits of the {layout.where.stop - layout.where.start} bytes that hold the sub-scales; "
            f"those of sub-block {chosen} are marked.",
        )
    with right:
        look.show(
            charts.sub_scales(opened.parts, chosen, "scale", style),
            key="scales_codes",
            alt=f"Stored scales of the {len(opened.parts)} sub-blocks.",
        )
        if layout.minimums:
            look.show(
                charts.sub_scales(opened.parts, chosen, "minimum", style),
                key="scales_minima",
                alt=f"Stored minima of the {len(opened.parts)} sub-blocks.",
            )

with st.expander("Table of what scales cost"):
    tables.show(
        [
            {
                "format": each,
                "bits_for_scales": paid[each],
                "bits_per_weight": paid[each] + get_format(each).code_bits,
                "relative_rmse": lost[each] / 100,
            }
            for each in sorted(rivals, key=lost.get)
        ],
        [
            tables.Column(key="format", title="format", text=True),
            tables.Column(key="bits_for_scales", title="bits for scales", show=lambda v: f"{v:.4f}"),
            tables.Column(key="bits_per_weight", title="bits in all", show=lambda v: f"{v:.4f}"),
            tables.Column(key="relative_rmse", title="error", show=percent),
        ],
        "scales_cost",
        caption=f"Error and cost of scales for {tensor}",
        chosen=type_name,
        formats=True,
    )
if sizes.size:
    tables.download(
        [
            {"row": r, "first_weight": c * factors.weights_per_scale, "scale": float(value),
             "minimum": None if factors.minimums is None else float(factors.minimums[r, c])}
            for (r, c), value in np.ndenumerate(factors.scales[:, :])
        ] if sizes.size <= 200_000 else [],
        ["row", "first_weight", "scale", "minimum"],
        "scales_all",
    )  # fmt: skip
