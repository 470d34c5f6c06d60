"""How a super-block stores its sub-scales, bit by bit."""

import streamlit as st

from pages.scales import cache, words
from pages.scales.charts import super_block as charts
from pages.shared import controls, look, tensors
from pages.shared.palette import Look
from quantcore.format import Format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits


def draw_super_block(
    model_name: str,
    tensor: str,
    shape: tuple[int, int],
    fmt: Format,
    asked: str,
    style: Look,
) -> None:
    """Draw the bytes of the sub-scales in a K-quant, and the numbers that they encode.

    `asked` is the format that the page is about: another one, where that has no super-blocks.
    """
    layout, packed = sub_scale_bits(fmt.name), tensors.packed(model_name, tensor, fmt.name)
    super_scales = cache.scale_factors(model_name, tensor, fmt.name).super_scales
    if layout is None or super_scales is None:
        raise ValueError(f"{fmt.name} has no super-blocks.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = controls.row(shape[0], width=150)
        block = controls.block(shape[1] // 256, width=150)
        opened = fmt.open_block(packed, row, block)
        part = controls.part(len(opened.parts), start=5, width=150)
        place = {"tensor": tensor, "row": row, "block": block, "part": part}
        controls.link("block", "Under the microscope", "scales_to_block", type=fmt.name, **place)
    look.finding(
        words.stored(part, opened.parts[part], layout, float(super_scales[row, block])),
        words.how_stored(asked, fmt.name, layout, row, block),
        help="A K-quant divides a super-block of 256 weights into sub-blocks. Each has a small "
        "whole number as its scale; one float16 per super-block turns it into a real scale.",
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        look.show(
            charts.bit_picture(opened.packed, layout, part, style),
            key="scales_bits",
            alt=f"The bits of the sub-scales’ bytes; those of sub-block {part} are marked.",
        )
    with right:
        for kind in ("scale", "minimum") if layout.minimums else ("scale",):
            look.show(
                charts.stored_numbers(opened.parts, part, kind, style),
                key=f"scales_{kind}",
                alt=f"What the {len(opened.parts)} sub-blocks store as their {kind}.",
            )
