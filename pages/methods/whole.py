"""The sections of the page Methods on the whole model: recipes on its text, and its KV cache."""

from collections.abc import Sequence

import streamlit as st

from pages.methods import cache, words, words_whole
from pages.methods.charts import cache_types as cache_charts
from pages.shared import controls, look, tables
from pages.shared import recipes as recipes_known
from pages.shared.charts.base import powers_of_ten
from pages.shared.charts.plane import plane
from pages.shared.palette import Look
from pages.shared.units import number
from quantcore.evaluate.cache_drift import CacheDrift
from quantcore.evaluate.recipes import MethodDrift
from quantcore.model.source import Model
from quantcore.recipe.types import get_type

COLUMNS = [
    tables.Column(key="recipe", title="recipe"),
    tables.Column(key="bits_per_weight", title="bits per weight", show="{:.4g}".format),
    tables.Column(key="kl_nats", title="divergence, nats", show=number),
    tables.Column(
        key="more_than_rounding", title="less rounding’s", show=number,
        help="Divergence, less that of plain rounding to the same type, on the same tokens.",
    ),
    tables.Column(key="interval", title="95 % interval", text=True, wide=True),
    tables.Column(key="perplexity_ratio", title="perplexity, times", show="{:.4f}".format),
]  # fmt: skip


def recipes(model: Model, style: Look) -> None:
    """Draw what methods cost the whole model, and what that says of the usual claims."""
    rows = recipes_known.shipped_rows(model.name)
    if not rows:
        return
    st.space("medium")
    look.finding(words_whole.recipes(rows), words_whole.HOW_TO_READ_RECIPES)
    plain = [row for row in rows if not row.with_imatrix]
    every = [row.mean_kl_divergence for row in plain]
    look.show(
        plane(
            [recipes_known.mark(row, row.type if get_type(row.type).mix else "") for row in plain],
            style,
            title="divergence, nats per token",
            ticks=powers_of_ten(min(every) / 2, 2 * max(every)),
            narrow=look.narrow(),
        ),
        key="methods_recipes",
        alt="Bits per weight against divergence of the whole model, by method and format.",
    )
    for claim in words_whole.claims(rows):
        look.say(claim)
    controls.link("drift", "Compare recipes side by side, and others", "methods_to_drift")
    with st.expander("Table of the recipes"):
        tables.show(
            [_row(row) for row in rows], COLUMNS, "methods_recipes",
            caption=f"What recipes cost {model.name}, by method and type",
        )  # fmt: skip


def _row(row: MethodDrift) -> tables.Row:
    ends = None if row.more_low is None or row.more_high is None else (row.more_low, row.more_high)
    return {
        "recipe": recipes_known.called(row.recipe),
        "bits_per_weight": row.bits_per_weight,
        "kl_nats": row.mean_kl_divergence,
        "more_than_rounding": row.more_than_rounding,
        "interval": None if ends is None else f"{number(ends[0])} to {number(ends[1])}",
        "perplexity_ratio": row.perplexity_ratio,
    }


def kv_cache(model: Model, style: Look) -> None:
    """Draw what keys and values lose in fewer bits."""
    known = cache.caches(model.name)
    if not known:
        return
    st.space("medium")
    contexts = sorted({each.context for each in known})
    top = st.container()
    names = [str(each) for each in contexts]
    chosen = st.segmented_control(
        "Context", names, default=names[-1], required=True, key="cache_context",
        help="Tokens that a prediction can look back on.", **controls.BOUND,
    )  # fmt: skip
    context = int(chosen or names[-1])
    shown = [each for each in known if each.context == context]
    with top:
        look.finding(words_whole.kv_cache(shown), words_whole.HOW_TO_READ_CACHE)
    look.show(
        cache_charts.cache_types(shown, style, look.narrow()),
        key="methods_cache",
        alt=f"Bytes of the KV cache per token against divergence, at a context of {context}.",
    )
    with st.expander("Table of the cache types"):
        _cache_table(shown)


def _cache_table(shown: Sequence[CacheDrift]) -> None:
    tables.show(
        [
            {
                "cache": f"K {each.keys}, V {each.values}",
                "rotation": words_whole.rotated(each),
                "bytes": each.bytes_per_token,
                "kl_nats": each.mean_kl_divergence,
                "same": each.same_top_token,
            }
            for each in sorted(shown, key=lambda each: each.mean_kl_divergence)
        ],
        [
            tables.Column(key="cache", title="cache"),
            tables.Column(key="rotation", title="rotation", text=True),
            tables.Column(key="bytes", title="bytes per token", show="{:,}".format),
            tables.Column(key="kl_nats", title="divergence, nats", show=number),
            tables.Column(key="same", title="same top token", show=words.percent, wide=True),
        ],
        "methods_cache",
        caption="What types of the KV cache cost",
    )
