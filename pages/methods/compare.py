"""The sections of the page Methods that set methods side by side on one matrix."""

from collections.abc import Iterator
from functools import partial

import streamlit as st

from pages.methods import cache, words
from pages.methods.charts import errors as charts
from pages.methods.charts import scaling as scaling_charts
from pages.shared import controls, jobs, look, tables, texts
from pages.shared.charts import plane as plane_charts
from pages.shared.palette import Look
from pages.shared.units import percent
from quantcore.evaluate.estimate import pass_seconds
from quantcore.evaluate.method_table import MethodRow, MethodTable, method_table_steps
from quantcore.formats import get_format
from quantcore.formats.integers.integer import IntegerFormat
from quantcore.methods import METHODS
from quantcore.methods.awq import AWQ
from quantcore.methods.rotations.incoherence import Incoherence, spread_of
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress

TITLE = "the comparison on the page Methods"
SECONDS_PER_WEIGHT = 5e-5  # of all methods together, on one core
COLUMNS = [
    tables.Column(key="method", title="method"),
    tables.Column(key="type", title="stored as", text=True),
    tables.Column(key="bits_per_weight", title="bits per weight", show="{:.4g}".format),
    tables.Column(key="weight_error", title="error of weights", show=percent),
    tables.Column(key="output_error", title="error of output", show=percent),
    tables.Column(key="note", title="note", text=True, wide=True),
]


def errors(model: Model, tensor: str, type_name: str, style: Look) -> None:
    """Draw error of weights beside error of output, a line a method."""
    ended = jobs.ended(TITLE)
    if ended is not None and ended.problem:
        look.problem(ended.problem)
    rows = [row for row in cache.rows(model.name, tensor) if row.asked == type_name]
    if not rows:
        look.finding(words.not_compared(tensor, type_name))
        _offer(model, tensor, type_name)
        return
    table = cache.table(model.name)
    shipped = table is not None and bool(table.of(tensor, type_name))
    text, _ = texts.to_choose_by(texts.suited(model.name))
    look.finding(words.compared(tensor, rows), words.HOW_TO_READ_ERRORS)
    look.show(
        charts.two_errors(rows, style),
        key="methods_errors",
        alt=f"Error of weights and of output of {tensor} in {type_name}, by method.",
    )
    if said := words.trade(rows):
        look.say(said)
    if table is not None and shipped:
        look.note(words.calibrated_on(table.calibration_tokens, text))
    with st.expander("Table of the methods"):
        tables.show(
            [_row(row) for row in sorted(rows, key=lambda row: row.output_error)],
            COLUMNS,
            "methods",
            caption=f"Methods on {tensor} in {type_name}",
        )
    jobs.watch(TITLE)


def _row(row: MethodRow) -> tables.Row:
    names = ("type", "bits_per_weight", "weight_error", "output_error", "note")
    return {"method": METHODS[row.by].title} | {name: getattr(row, name) for name in names}


def _offer(model: Model, tensor: str, type_name: str) -> None:
    """Draw the button that compares methods on this matrix, and the run that it begins."""
    able = cache.able(model.tensors[tensor].shape, type_name)
    _, text = texts.to_choose_by(texts.suited(model.name))
    n_tokens = texts.length(model.name, text).n_tokens
    seconds = pass_seconds(model, n_tokens)
    seconds += SECONDS_PER_WEIGHT * model.tensors[tensor].n_weights
    if jobs.button(
        "Compare the methods here",
        key="compare_methods",
        title=TITLE,
        begin=partial(_steps, model, tensor, type_name, able, text),
        seconds=seconds / n_threads(),
        help="Each method chooses codes for this matrix; the model reads the calibration text.",
    ):
        st.rerun()
    jobs.watch(TITLE)


def _steps(
    model: Model, tensor: str, type_name: str, able: list[str], text: str
) -> Iterator[Progress[MethodTable]]:
    kept = cache.compared_here()
    for step in method_table_steps(model, [tensor], {type_name: able}, text):
        if step.result is not None:
            kept[model.key, tensor, type_name] = list(step.result.rows)
        yield step


def plane(model: Model, tensor: str, type_name: str, style: Look) -> None:
    """Draw bits against output error, and what no code can go below."""
    rows = cache.rows(model.name, tensor)
    if len({row.asked for row in rows}) < 2:
        return
    st.space("medium")
    widths = [row.bits_per_weight for row in rows]
    ends = (min(widths) - 0.7, max(widths) + 0.25)
    errors = [row.output_error for row in rows]
    look.finding(words.plane(rows, tensor), words.HOW_TO_READ_PLANE)
    event = look.show(
        plane_charts.plane(
            [_mark(row, type_name) for row in {(row.by, row.type): row for row in rows}.values()],
            style,
            title="error of the output",
            ticks=charts.ticks(min(errors) / 3, 1.3 * max(errors)),
            bound=cache.least_errors(model.name, tensor, *ends),
            narrow=look.narrow(),
        ),
        key="methods_plane",
        alt=f"Bits per weight against error of the output of {tensor}, by method and format.",
        on_select="rerun",
        selection_mode="points",
    )
    controls.choose_from(event)


def _mark(row: MethodRow, chosen: str) -> plane_charts.Mark:
    tip = (
        f"<b>{METHODS[row.by].title}</b> to {row.type}<br>{row.bits_per_weight:.3f} bits per weight"
        f"<br>output off by {percent(row.output_error)}, weights by {percent(row.weight_error)}"
    )
    return plane_charts.Mark(
        by=row.by,
        type=row.type,
        bits_per_weight=row.bits_per_weight,
        error=row.output_error,
        tip=tip,
        chosen=row.asked == chosen,
    )


def scaling(model: Model, tensor: str, type_name: str, style: Look) -> None:
    """Draw what AWQ's ratio does."""
    try:
        fmt = get_format(type_name)
        AWQ().check(model.tensors[tensor].shape, fmt)
        search = cache.ratios(model.name, tensor, type_name)
    except ValueError as problem:
        look.note(str(problem))
        return
    look.finding(
        words.ratios(search, type_name, isinstance(fmt, IntegerFormat)), words.HOW_TO_READ_RATIOS
    )
    look.show(
        scaling_charts.ratios(search, style),
        key="methods_ratios",
        alt=f"Squared error of the output of {tensor} at each of AWQ’s ratios.",
    )


def turning(model: Model, tensor: str, style: Look) -> None:
    """Draw weights before and after a rotation."""
    weights = model.weights(tensor)
    turned = Incoherence.drawn(weights.shape, seed=0).rotate(weights)
    look.finding(
        words.rotated(tensor, spread_of(weights), spread_of(turned)), words.HOW_TO_READ_ROTATION
    )
    look.show(
        scaling_charts.rotation(weights, turned, style),
        key="methods_rotation",
        alt=f"Distribution of the weights of {tensor} before and after a rotation.",
    )
