"""What scales cost, and what finer ones save: the chart and its table."""

import streamlit as st

from pages.scales import words
from pages.scales.charts import scales as charts
from pages.shared import look, tables, tensors
from pages.shared.palette import Look
from pages.shared.units import percent
from quantcore.evaluate.scale_cost import rivals_of, scale_bits
from quantcore.format import Format
from quantcore.formats import get_format


def draw_cost(
    model_name: str, tensor: str, fmt: Format, shape: tuple[int, int], style: Look
) -> None:
    """Draw error against bits spent on scales, of formats with codes of as many bits."""
    rivals = rivals_of(fmt, shape)
    paid = {rival.name: scale_bits(rival, shape) for rival in rivals}
    lost = {
        rival.name: tensors.tensor_error(model_name, tensor, rival.name).relative_rmse
        for rival in rivals
    }
    bits = rivals[0].code_bits
    price = words.price(paid, lost, f"INT{bits}_TENSOR")
    look.finding(price, words.how_to_read_price(tensor, bits))
    look.show(
        charts.cost(paid, lost, fmt.name, style, narrow=look.narrow()),
        key="scales_cost",
        alt=f"Error against bits spent on scales, for {len(paid)} formats of {bits} bits.",
    )
    with st.expander("Table of what scales cost"):
        _table(tensor, fmt.name, paid, lost)


def _table(tensor: str, chosen: str, paid: dict[str, float], lost: dict[str, float]) -> None:
    tables.show(
        [
            {
                "format": name,
                "bits_for_scales": paid[name],
                "bits_per_weight": paid[name] + get_format(name).code_bits,
                "relative_rmse": lost[name],
            }
            for name in sorted(lost, key=lost.__getitem__)
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
        chosen=chosen,
        formats=True,
    )  # fmt: skip
