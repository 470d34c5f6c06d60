"""The section of the page Methods on GPTQ at work: column after column, and two as a lattice."""

import streamlit as st

from pages.methods import cache, words
from pages.methods.charts import errors as error_charts
from pages.methods.charts import steps as charts
from pages.shared import controls, look
from pages.shared.frame import sentence
from pages.shared.palette import Look, colour
from quantcore.evaluate.gptq_course import GptqCourse, error_by_importance
from quantcore.formats import get_format
from quantcore.model.source import Model

EVEN = ("plain", "offset", "K", "int")  # families of formats whose codes are evenly spaced


def section(model: Model, tensor: str, type_name: str, style: Look) -> None:
    """Draw where GPTQ puts its errors, and how it gets there."""
    try:
        course = cache.course(model.name, tensor, type_name)
    except ValueError as problem:
        look.note(sentence(problem))
        return
    places(model, tensor, type_name, course, style)
    st.space("medium")
    n_rows, n_cols = course.weights.shape
    left, right = st.columns([1, 3], gap="large", vertical_alignment="bottom")
    with left:
        row = controls.row(n_rows)
    with right:
        if st.session_state.get("columns_done", 0) > n_cols:
            st.session_state["columns_done"] = n_cols
        n_done = st.slider(
            "Columns rounded", 0, n_cols, n_cols // 3, key="columns_done", **controls.BOUND
        )
    part_way(course, row, n_done, type_name, style)
    if get_format(type_name).family in EVEN:
        st.space("medium")
        lattice(course, row, type_name, style)


def places(model: Model, tensor: str, type_name: str, course: GptqCourse, style: Look) -> None:
    """Draw errors of columns by how large their inputs are."""
    restored = {words.RTN: course.plain, "gptq": course.restored}
    size = cache.inputs(model.name, tensor).mean_square
    found = error_by_importance(course.weights, restored, size, words.RTN)
    look.finding(words.places(found, type_name, "gptq"), words.HOW_TO_READ_PLACES)
    tones = {words.RTN: style.quiet, "gptq": colour(type_name, style)}
    look.show(
        error_charts.by_importance(found, tones, style),
        key="methods_places",
        alt=f"Squared error of the weights of {tensor} by the size of the inputs, two methods.",
    )


def part_way(course: GptqCourse, row: int, n_done: int, type_name: str, style: Look) -> None:
    """Draw a row with some columns rounded, and the course of its error."""
    at, whole = course.at(row, n_done), course.of(row)
    look.finding(words.steps(row, at, whole), words.HOW_TO_READ_STEPS)
    left, right = st.columns(2, gap="large")
    with left:
        look.show(
            charts.row_part_way(at, course.order, type_name, style),
            key="methods_row",
            alt=f"Distance of each column of row {row} from its original, {n_done} rounded.",
        )
    with right:
        look.show(
            charts.error_course(whole, n_done, type_name, style),
            key="methods_course",
            alt=f"Error of the output of row {row} as columns are rounded, by two methods.",
        )


def lattice(course: GptqCourse, row: int, type_name: str, style: Look) -> None:
    """Draw the two columns whose inputs go together most."""
    closest = course.closest()
    pair = course.pair(row, closest)
    look.finding(words.lattice(row, pair), words.HOW_TO_READ_LATTICE)
    look.show(
        charts.lattice(pair, type_name, style),
        key="methods_lattice",
        alt="The points that two weights can be rounded to, in the plane of output errors.",
    )
    look.note(words.other_rows(course.rows_that_differ(closest), len(course.weights)))
