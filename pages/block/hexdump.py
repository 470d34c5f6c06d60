"""The bytes of a block as HTML: every byte in hexadecimal, under the name of its field."""

from html import escape

import streamlit as st

from pages.shared import look
from pages.shared.palette import MONO, SANS, Look, blend
from pages.shared.units import plural, real_minus
from quantcore.format import Field, OpenedBlock


def show(block: OpenedBlock, weight: int, part: int) -> None:
    """Draw a block's bytes; those that hold bits of `weight` are outlined.

    Bytes with codes of other sub-blocks than `part` are pale. Each byte says on hover, focus and
    tap what it holds. One of them is a stop of the Tab key, and arrows lead to the others.
    """
    style = look.current()
    stop = next(iter(block.code_bytes[weight]), 0)
    held: list[list[int]] = [[] for _ in range(block.packed.size)]
    for at, where in enumerate(block.code_bytes):
        for byte in where:
            held[byte].append(at)
    fields = "".join(
        _field(
            field,
            "".join(
                _byte(byte, field, block, held[byte], weight, part, stop)
                for byte in range(field.where.start, field.where.stop)
            ),
            style,
        )
        for field in block.fields
    )
    css = _CSS.format(sans=SANS, mono=MONO, ink=style.ink, quiet=style.quiet, panel=style.panel,
                      line=style.line)  # fmt: skip
    st.html(
        f'{css}<div class="lab-bytes" role="listbox" aria-label="Bytes of the block" '
        f'data-rove="one">{fields}</div>'
    )


def _field(field: Field, cells: str, style: Look) -> str:
    tone = style.fields[field.kind]
    size = plural(field.where.stop - field.where.start, "byte")
    says = f"{escape(real_minus(field.says))} · {size}" if field.says else size
    name = escape(field.name)
    return (
        f'<div style="--tone:{tone};--tint:{blend(tone, style.page, 0.16)}">'
        f'<div class="name"><b>{name}</b> <span>{says}</span></div>'
        f'<div class="cells" role="group" aria-label="{name}">{cells}</div></div>'
    )


def _byte(
    byte: int, field: Field, block: OpenedBlock, weights: list[int], weight: int, part: int,
    stop: int,
) -> str:  # fmt: skip
    mine = block.parts[part].weights
    outlined = weight in weights
    pale = bool(weights) and not any(mine.start <= at < mine.stop for at in weights)
    codes = [f"weight {at}: code {block.codes[at] + block.first_code}" for at in weights[:8]]
    says = [f"byte {byte}, {field.name}", *(codes or [field.says] * bool(field.says))]
    classes = "b" + " on" * outlined + " pale" * pale
    shown = f"{block.packed[byte]:02x}"
    tip = escape(real_minus("\n".join(says)))
    return (
        f'<span class="{classes}" role="option" aria-selected="{str(outlined).lower()}" '
        f'tabindex="{0 if byte == stop else -1}" aria-label="{shown}: {tip}" data-t="{tip}">'
        f"{shown}</span>"
    )


_CSS = """<style>
.lab-bytes {{display: flex; flex-wrap: wrap; gap: .9rem 1.2rem; font: 400 .9rem/1.3 {sans};
 color: {ink}}}
.lab-bytes .name {{border-top: 3px solid var(--tone); padding: .25rem 0 .35rem}}
.lab-bytes .name span {{color: {quiet}}}
.lab-bytes .cells {{display: flex; flex-wrap: wrap; gap: 3px; max-width: 56rem}}
.lab-bytes .b {{font: 500 .86rem/1 {mono}; padding: .42rem .36rem; background: var(--tint);
 border-radius: 3px; position: relative; cursor: default}}
.lab-bytes .on {{outline: 2px solid {ink}; outline-offset: -1px}}
.lab-bytes .pale {{background: {panel}; color: {quiet}}}
.lab-bytes .b:hover::after, .lab-bytes .b:focus::after {{content: attr(data-t); position: absolute;
 left: 0; top: 2.2em; z-index: 5; white-space: pre-line; width: max-content; max-width: 17rem;
 font: 400 .82rem/1.45 {sans}; color: {ink}; background: {panel}; border: 1px solid {line};
 border-radius: .35em; padding: .4em .6em; pointer-events: none}}
</style>"""
