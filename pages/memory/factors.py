"""A product with its numbers put in, as HTML: each factor large, what it is below it."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from pages.shared import look
from pages.shared.palette import SANS
from quantcore.formats import FORMATS
from quantcore.memory import CacheTerm
from quantcore.shape import ModelShape

Factors = list[tuple[str, str]]  # number, what it is


def of_cache(
    terms: Sequence[CacheTerm], shape: ModelShape, type_name: str, n_sequences: int
) -> list[Factors]:
    """Put a cache's numbers into its formula, a line a kind of layer."""
    kept = [term for term in terms if term.bytes]
    return [_line(term, shape, type_name, n_sequences) for term in kept]


def _line(term: CacheTerm, shape: ModelShape, type_name: str, n: int) -> Factors:
    kinds = {
        "window": "layers with a window",
        "chunk": "layers with chunks",
        "state": "recurrent layers",
    }
    line = [(f"{term.n_layers}", kinds.get(term.kind, "layers"))]
    sequences = [(f"{n}", "sequences")] if n > 1 else []
    if term.kind == "state":
        return [*line, (f"{term.state_values:,}", "numbers"), ("4", "bytes in F32"), *sequences]
    tokens = "tokens that are seen" if term.kind in ("window", "chunk") else "tokens"
    line.append((f"{term.n_tokens // n:,}", tokens))
    if term.kind == "latent":
        a = shape.latent
        line.append((f"({a.kv_size} + {a.rope_size})", "latent vector and rotated key"))
    else:
        line.append(("2", "key and value"))
        line.append((f"{shape.n_kv_heads}", "KV heads" if shape.n_kv_heads > 1 else "KV head"))
        line.append((f"{shape.head_size}", "head size"))
    line.append((f"{_bytes_each(type_name):g}", f"bytes in {type_name}"))
    return [*line, *sequences]


def _bytes_each(type_name: str) -> float:
    if type_name == "FP8":  # vLLM's cache
        return 1
    fmt = FORMATS[type_name]
    return fmt.block_bytes / fmt.block_size


def show(lines: Sequence[Factors], result: str) -> None:
    """Draw the sum of the products, the result behind the last one."""
    style = look.current()
    rows = []
    for at, line in enumerate(lines):
        cells = [_cell(number, says) for number, says in line]
        end = "<i>+</i>" if at < len(lines) - 1 else f"<i>=</i>{_cell(result, 'KV cache', 'sum')}"
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
