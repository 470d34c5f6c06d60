"""Every figure of the chosen pieces as a table, and all results as the file for a recipe."""

import streamlit as st

from pages.sensitivity.setup import GROUPS
from pages.sensitivity.view import View
from pages.shared import tables
from pages.shared.units import decimal, number, percent
from quantcore.sensitivity.effect import Effect


def show(view: View, chosen: str) -> None:
    """Draw the table, closed until it is opened."""
    effects = view.results.pieces(view.format_name, GROUPS[view.noun], view.how)
    rows = [_row(effect) for effect in effects.values()]
    rows.sort(key=lambda row: row["mean_kl_nats"], reverse=view.how == "alone")
    with st.expander(f"Table of all {view.noun} in {view.format_name}"):
        tables.show(
            rows,
            _COLUMNS,
            "sensitivity",
            caption=f"What the {view.noun} cost in {view.format_name}",
            chosen=chosen,
            csv_keys=list(rows[0]),
        )
    st.download_button(
        "Save all results",
        data=view.results.as_json,
        file_name=f"{view.results.source.model}-sensitivity.json",
        mime="application/json",
        key="save_sensitivity",
        on_click="ignore",
        help="The JSON that `python -m quantcore plan --sensitivity` reads: every format and "
        "piece, and the guides.",
    )


def _row(effect: Effect) -> dict:
    return {
        "name": effect.name,
        "format": effect.format,
        "quantized": effect.how,
        "bytes": effect.bytes,
        "mean_kl_nats": effect.mean_kl_divergence,
        "kl_low_nats": effect.kl_low,
        "kl_high_nats": effect.kl_high,
        "perplexity": effect.perplexity,
        "perplexity_change": effect.perplexity_ratio - 1,
        "perplexity_change_low": effect.ratio_low - 1,
        "perplexity_change_high": effect.ratio_high - 1,
        "top_token_changed": 1 - effect.same_top_token,
    } | {
        f"{each.level}_{each.skill}_log_probability_change": each.log_probability_change
        for each in effect.skills
    }


_COLUMNS = [
    tables.Column(key="name", title="name", text=True),
    tables.Column(key="bytes", title="size", show=decimal, wide=True),
    tables.Column(key="mean_kl_nats", title="divergence", show=number),
    tables.Column(key="kl_low_nats", title="from", show=number, help="Low end of the interval."),
    tables.Column(key="kl_high_nats", title="to", show=number, help="High end of the interval."),
    tables.Column(key="perplexity_change", title="perplexity", show=percent, wide=True),
    tables.Column(key="top_token_changed", title="first choices", show=percent, wide=True,
                  help="Share of the tokens whose first choice changed."),
]  # fmt: skip
