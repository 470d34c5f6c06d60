"""Tables that can be read by anyone and taken along: a real ``<table>``, and its CSV."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from pages.shared import look, saving
from pages.shared.palette import FAMILY_WORDS, SANS, Look, colour, family, ink_on

Row = Mapping[str, Any]  # a row mixes kinds of values


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it is called on the page and in the CSV, and how a value is worded."""

    key: str  # key of the row, and head of the column in the CSV: with its unit, as in kl_nats
    title: str
    show: Callable[[Any], str] = str
    absent: str = ""  # what stands where a row has no value
    help: str = ""  # opens on hover, focus and tap
    text: bool = False  # words stand left, numbers right
    wide: bool = False  # left out on a phone
    bar: Callable[[Row], tuple[float, str]] | None = None  # share of the width, colour
    fill: Callable[[Row], str] | None = None  # colour behind the number, as in a heat map


def show(
    rows: Sequence[Row],
    columns: Sequence[Column],
    name: str,
    *,
    caption: str,
    chosen: object = None,
    formats: bool = False,
    csv_keys: Sequence[str] | None = None,
) -> None:
    """Draw a table and the small control that saves it as CSV.

    Parameters
    ----------
    rows
        Values by key; missing ones and None are said as the column says it, mostly blank.
    columns
        The first one heads its row.
    name
        File name of the CSV without ending, also the key of its button.
    caption
        What the table is, for those who hear it read out.
    chosen
        The row whose first column has this value is set in bold.
    formats
        The first column names formats or mixes: put colour and marker before the name, unless the
        row says ``"mark": False``. Of a longer name, the row says which ``"format"`` it is of.
    csv_keys
        What the CSV holds, where it is more than the page has room for.
    """
    style = look.current()
    st.html(_CSS.format(**_tones(style)) + _table(rows, columns, caption, chosen, formats, style))
    download(lambda: rows, csv_keys or [column.key for column in columns], name)


def download(rows: Callable[[], Sequence[Row]], keys: Sequence[str], name: str) -> None:
    """Draw the small control that saves rows as CSV, every digit kept; asked for when pressed."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(
            "Save CSV",
            data=lambda: to_csv(rows(), keys),
            file_name=f"{saving.stem(name)}.csv",
            mime="text/csv",
            key=f"{name}_csv",
            on_click="ignore",
            type="tertiary",
        )


def to_csv(rows: Sequence[Row], keys: Sequence[str]) -> str:
    r"""Write rows as CSV text, the keys as its head.

    >>> to_csv([{"format": "Q4_K", "bits": 4.5}], ["format", "bits"])
    'format,bits\r\nQ4_K,4.5\r\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({key: _in_cell(row.get(key)) for key in keys} for row in rows)
    return text.getvalue()


def _in_cell(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would take for a formula; numbers are none.

    >>> _in_cell("=1+1"), _in_cell("-0.5"), _in_cell(-0.5), _in_cell("Q4_K")
    ("'=1+1", '-0.5', -0.5, 'Q4_K')
    """
    if not isinstance(value, str) or not value.lstrip().startswith(("=", "+", "-", "@")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def swatch(type_name: str, style: Look) -> str:
    """Draw the mark of a format, or of most of a mix, as HTML: colour says bits, shape family."""
    shape = family(type_name)
    return (
        f'<i class="swatch" title="{FAMILY_WORDS[shape]}" '
        f'style="{_SWATCH};background:{colour(type_name, style)};{_SHAPES[shape]}"></i>'
    )


def _table(rows, columns, caption, chosen, formats, style) -> str:
    body = "".join(_row(row, columns, chosen, formats, style) for row in rows)
    heads = "".join(_head(column) for column in columns)
    return (
        f'<div class="lab-scroll"><table class="lab-table" aria-label="{escape(caption)}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _head(column: Column) -> str:
    title = escape(column.title)
    if column.help:
        title = f'<span class="tip" tabindex="0" data-t="{escape(column.help)}">{title}</span>'
    span = ' colspan="2"' if column.bar else ""
    return f'<th scope="col"{span} class="{_classes(column, head=True)}">{title}</th>'


def _row(row: Row, columns, chosen, formats, style) -> str:
    first, *others = columns
    name = row[first.key]
    of = str(row.get("format", name))
    mark = swatch(of, style) if formats and row.get("mark", True) else ""
    cells = f'<th scope="row">{mark}{escape(first.show(name))}</th>'
    for column in others:
        value = row.get(column.key)
        said = escape(column.absent if value is None else column.show(value))
        fill = _fill(column, row)
        classes = _classes(column) + " absent" * (value is None)
        cells += _bar(column, row) + f'<td class="{classes}"{fill}>{said}</td>'
    return f"<tr{' class=on' if name == chosen else ''}>{cells}</tr>"


def _bar(column: Column, row: Row) -> str:
    if column.bar is None:
        return ""
    share, tone = column.bar(row)
    return f'<td class="bar"><i style="width:{100 * share:.1f}%;background:{tone}"></i></td>'


def _fill(column: Column, row: Row) -> str:
    if column.fill is None or row.get(column.key) is None:
        return ""
    tone = column.fill(row)
    return f' style="background:{tone};color:{ink_on(tone)}"'


def _classes(column: Column, head: bool = False) -> str:
    left = column.text or (head and column.bar is not None)
    return ("" if left else "n") + (" wide" if column.wide else "")


def _tones(style: Look) -> dict[str, str]:
    names = ("ink", "quiet", "line", "page", "panel")
    return {"sans": SANS, **{name: getattr(style, name) for name in names}}


_SWATCH = "display:inline-block;width:.72rem;height:.72rem;margin-right:.45rem"
# Streamlit drops inline SVG, so the marks are cut out of squares.
_SHAPES = {
    "plain": "border-radius:50%",
    "offset": "clip-path:polygon(50% 0,100% 50%,50% 100%,0 50%)",
    "K": "border-radius:1px;transform:scale(.86)",
    "uneven": "clip-path:polygon(50% 4%,100% 94%,0 94%)",
    "ternary": "clip-path:polygon(20% 0,50% 30%,80% 0,100% 20%,70% 50%,100% 80%,80% 100%,50% 70%,"
    "20% 100%,0 80%,30% 50%,0 20%)",
    "int": "clip-path:polygon(0 6%,100% 6%,50% 96%)",
    "float": "clip-path:polygon(50% 0,62% 36%,100% 36%,69% 58%,80% 94%,50% 72%,20% 94%,31% 58%,"
    "0 36%,38% 36%)",
}

_CSS = """<style>
.lab-scroll {{overflow-x: auto}}
.lab-table {{border-collapse: collapse; width: 100%; font: 400 .95rem/1.3 {sans}; color: {ink};
 font-variant-numeric: tabular-nums}}
.lab-table th, .lab-table td {{padding: .3rem .6rem; border-bottom: 1px solid {line};
 text-align: left; font-weight: 400; white-space: nowrap}}
.lab-table thead th {{color: {quiet}; font-size: .85rem; vertical-align: bottom;
 white-space: normal}}
.lab-table tbody th {{position: sticky; left: 0; background: {page}; z-index: 1}}
.lab-table .n {{text-align: right}}
.lab-table .bar {{width: 38%}}
.lab-table .bar i {{display: block; height: .7rem; border-radius: 2px}}
.lab-table .on, .lab-table .on th {{background: {panel}}}
.lab-table .on th, .lab-table .on td {{font-weight: 600}}
.lab-table td.absent {{color: {quiet}; font-weight: 400}}
.lab-table .tip {{position: relative; text-decoration: underline dotted; cursor: help;
 text-underline-offset: .2em}}
.lab-table .tip:hover::after, .lab-table .tip:focus::after {{content: attr(data-t);
 position: absolute; right: 0; top: 1.7em; z-index: 5; white-space: normal; width: max-content;
 max-width: 17rem; text-align: left; font: 400 .82rem/1.45 {sans}; color: {ink};
 background: {panel}; border: 1px solid {line}; border-radius: .35em; padding: .4em .6em;
 pointer-events: none}}
@media (max-width: 640px) {{.lab-table .wide {{display: none}}
 .lab-table tbody th:not(:has(.swatch)) {{white-space: normal}}
 .lab-table th, .lab-table td {{padding: .3rem .3rem}} .lab-table .bar {{width: 24%}}}}
</style>"""
