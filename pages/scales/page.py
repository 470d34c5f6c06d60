"""Page: scale factors and minima: how large, where, at what cost, and how they lie in the bytes."""

import numpy as np
import streamlit as st

from pages.scales import cache, words
from pages.scales.charts import scales as charts
from pages.scales.charts import super_block as sub_scales
from pages.shared import (
    controls,
    frame,
    look,
    tables,
    tensors,
)
from pages.shared.palette import colour
from pages.shared.units import percent
from quantcore.formats import OUTSIDE_GGUF, UNAIDED, get_format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits

frame.enter("scales")

AT_MOST = 256  # rows and columns of the map
AT_MOST_LISTED = 200_000  # scales in the CSV
SPANS = ("TENSOR", "ROW", "G256", "G128", "G64", "G32", "G16")


def fits(name: str) -> bool:
    """Return whether the tensor's rows divide into a format's blocks."""
    try:
        get_format(name).check(shape)
    except ValueError:
        return False
    return True


def merged(sizes: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the largest of neighbours until `AT_MOST` are left; also the number of each first."""
    first = np.arange(0, sizes.shape[axis], -(-sizes.shape[axis] // AT_MOST))
    return np.maximum.reduceat(sizes, first, axis=axis), first


def uneven(sizes: np.ndarray) -> float:
    """Largest over median."""
    return float(sizes.max() / np.median(sizes)) if np.median(sizes) else 0.0


def choose_place() -> None:
    """Take over row and block of a clicked scale."""
    if place := controls.clicked("scales_map"):
        row, scale = map(int, place)
        block = scale * factors.weights_per_scale // get_format(picture).block_length(shape[1])
        st.session_state.update(row=row, block=block)


style, model = look.current(), controls.model()
st.title("Scales", anchor=False)
one, two, three = st.columns([2, 3, 2], vertical_alignment="bottom")
with one:
    fmt = get_format(controls.type_(default="Q4_K"))
with two:
    tensor = controls.tensor()
shape = model.tensors[tensor].shape
fmt.check(shape)
factors = cache.scale_factors(model.name, tensor, fmt.name)
picture = fmt.name if sub_scale_bits(fmt.name) else "Q4_K"  # for how sub-scales are stored
shown = "scales"
if factors.minimums is not None:
    shown = three.segmented_control(
        "Look at", ["scales", "minima"], default="scales", required=True, key="factor",
        help="A scale is the step of the grid, a minimum is what is taken off all its values.",
        **controls.BOUND,
    )  # fmt: skip

# ---- what scales cost, and what they save -------------------------------------------------------

bits = max(2, min(fmt.code_bits, 8))
rivals = [f"INT{bits}_{span}" for span in SPANS if span != f"G{shape[1]}"]
rivals += [name for name in (*UNAIDED, *OUTSIDE_GGUF) if get_format(name).code_bits == bits]
rivals += [fmt.name] if fmt.code_bits <= 8 else []
paid, lost = {}, {}
for name in filter(fits, dict.fromkeys(rivals)):
    other = get_format(name)
    paid[name] = 8 * other.stored_bytes(shape) / (shape[0] * shape[1]) - other.code_bits
    lost[name] = tensors.tensor_error(model.name, tensor, name).relative_rmse
st.space("small")
look.finding(words.price(paid, lost, f"INT{bits}_TENSOR"), words.how_to_read_price(tensor, bits))
look.show(
    charts.cost(paid, lost, fmt.name, style, narrow=look.narrow()),
    key="scales_cost",
    alt=f"Error against bits spent on scales, {len(paid)} formats of {bits} bits.",
)
with st.expander("Table of what scales cost"):
    tables.show(
        [
            {
                "format": name,
                "bits_for_scales": paid[name],
                "bits_per_weight": paid[name] + get_format(name).code_bits,
                "relative_rmse": lost[name],
            }
            for name in sorted(lost, key=lost.get)
        ],
        [
            tables.Column(key="format", title="format", text=True),
            tables.Column(key="bits_for_scales", title="bits for scales", show="{:.4f}".format),
            tables.Column(key="bits_per_weight", title="bits in all", show="{:.4f}".format),
            tables.Column(key="relative_rmse", title="error", show=percent,
                          help="Root mean square error over the weights’ own root mean square."),
        ],
        "scales_cost",
        caption=f"Error and cost of scales for {tensor}",
        chosen=fmt.name,
        formats=True,
    )  # fmt: skip

# ---- how large they are, and where --------------------------------------------------------------

st.space("medium")
sizes = np.abs(factors.scales if shown == "scales" else factors.minimums)
each, minimums = factors.weights_per_scale, factors.minimums
tone = style.fields["minimum"] if shown == "minima" else colour(fmt.name, style)
if not sizes.size:
    look.finding(f"**{fmt.name}** has no scales: every weight is a float of its own.")
elif sizes.size == 1:
    look.finding(words.one_for_all(fmt.name, float(sizes[0, 0]), shape[0] * shape[1]))
else:
    left, right = st.columns(2, gap="large")
    with left:
        top = float(sizes.max())
        look.finding(
            words.spread(fmt.name, shown, sizes.size, each, uneven(sizes)),
            f"How many have which size, signs left out. Scales and minima together take "
            f"{factors.overhead_bits:.4g} bits a weight.",
        )
        look.show(
            charts.spread(
                *np.histogram(sizes, bins=60, range=(0, top or 1.0)),
                {"median": float(np.median(sizes)), "largest": top},
                "minimum" if shown == "minima" else "scale",
                tone,
                style,
            ),
            key="scales_spread",
            alt=f"Histogram of {words.several(sizes.size, shown)} of {tensor} in {fmt.name}.",
        )
    with right:
        at_row, place = (int(i) for i in np.unravel_index(sizes.argmax(), sizes.shape))
        look.finding(
            words.largest(at_row, place, each, shape[1]),
            words.how_to_read_map(shown, sizes),
        )
        by_row, rows = merged(sizes, 0)
        cells, columns = merged(by_row, 1)
        look.show(
            charts.scale_map(cells, rows, columns, tone, style),
            key="scales_map",
            alt=f"Map of {words.several(sizes.size, shown)} of {tensor}, largest in row {at_row}.",
            on_select=choose_place,
            selection_mode="points",
        )
    if sizes.size <= AT_MOST_LISTED:
        tables.download(
            [
                {
                    "row": row,
                    "first_weight": column * each,
                    "scale": float(scale),
                    "minimum": float(minimums[row, column]) if minimums is not None else None,
                }
                for (row, column), scale in np.ndenumerate(factors.scales)
            ],
            ["row", "first_weight", "scale", "minimum"],
            "scales_all",
        )

# ---- how a super-block stores them --------------------------------------------------------------

if fits(picture):
    st.space("medium")
    layout = sub_scale_bits(picture)
    packed = tensors.packed(model.name, tensor, picture)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = controls.row(shape[0], width=150)
        block = controls.block(shape[1] // 256, width=150)
        opened = get_format(picture).open_block(packed, row, block)
        chosen = controls.part(len(opened.parts), start=5, width=150)
        arrow = {"icon": ":material/arrow_forward:", "icon_position": "right", "type": "tertiary"}
        if st.button("Under the microscope", key="scales_to_block", **arrow):
            controls.go("block", type=picture, tensor=tensor, row=row, block=block, part=chosen)
    above = cache.scale_factors(model.name, tensor, picture).super_scales[row, block]
    look.finding(
        words.stored(chosen, opened.parts[chosen], layout, float(above)),
        words.how_stored(fmt.name, picture, layout, row, block),
        help="A K-quant cuts 256 weights into sub-blocks. Each has a small whole number as its "
        "scale; one float16 for the super-block turns it into a real scale.",
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        look.show(
            sub_scales.bit_picture(opened.packed, layout, chosen, style),
            key="scales_bits",
            alt=f"The bits of the sub-scales’ bytes; those of sub-block {chosen} are marked.",
        )
    with right:
        for kind in ("scale", "minimum") if layout.minimums else ("scale",):
            look.show(
                sub_scales.stored_numbers(opened.parts, chosen, kind, style),
                key=f"scales_{kind}",
                alt=f"What the {len(opened.parts)} sub-blocks store as their {kind}.",
            )
