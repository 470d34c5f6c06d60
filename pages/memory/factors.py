"""A product with its numbers put in, as HTML: each factor large, what it is below it."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from pages.shared import look
from pages.shared.palette import SANS
from quantcore.memory.factors import Product


def show(products: Sequence[Product], result: str) -> None:
    """Draw the sum of the products, a line each, the result behind the last one."""
    style = look.current()
    rows = []
    for at, product in enumerate(products):
        cells = [_cell(str(factor), factor.what) for factor in product]
        end = (
            "<i>+</i>" if at < len(products) - 1 else f"<i>=</i>{_cell(result, 'KV cache', 'sum')}"
        )
        rows.append(f"<div class='line'>{'<i>×</i>'.join(cells)}{end}</div>")
    st.html(
        f"""<style>
.lab-factors .line {{display: flex; flex-wrap: wrap; align-items: flex-start; gap: .35rem .8rem;
 margin-bottom: .6rem; font: 400 .85rem/1.3 {SANS}; color: {style.quiet}}}
.lab-factors b {{display: block; font: 500 1.35rem/1.35 {SANS}; color: {style.ink};
 font-variant-numeric: tabular-nums}}
.lab-factors .sum b {{font-weight: 700}}
.lab-factors i {{font: 400 1.2rem/1.6 {SANS}; font-style: normal}}
</style><div class="lab-factors">{"".join(rows)}</div>"""
    )


def _cell(number: str, says: str, kind: str = "") -> str:
    return f'<span class="{kind}"><b>{escape(number)}</b>{escape(says)}</span>'
