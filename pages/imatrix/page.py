"""Page: the importance matrix: which columns matter, how unevenly, and what that changes."""

from collections.abc import Mapping

import streamlit as st

from pages.imatrix import cache, charts, run, words
from pages.shared import bench, controls, definitions, jobs, look, saving, tables, tensors, texts
from pages.shared.charts import layer_map
from pages.shared.units import percent
from quantcore.evaluate import importance_use as use
from quantcore.formats import FORMATS
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model

USE_IT = [name for name, fmt in FORMATS.items() if fmt.uses_importance]
# Heads of what is saved as CSV.
SHARE = "share_of_importance_in_the_loudest_hundredth"
WITHOUT, WITH = "relative_error_without_imatrix", "relative_error_with_imatrix"


def main() -> None:
    """Draw the page."""
    model = controls.model()
    definitions.head("Importance", words.PURPOSE, words.DEFINED)
    ended = jobs.ended(run.TITLE)
    imatrix = bench.imatrix(model.name)
    if imatrix is None:
        stories = texts.suited(model.name) == texts.STORIES
        look.finding(words.none_here(model.name), words.how_to_make(model.path, stories))
        run.offer(model)
        if ended is not None and ended.problem:
            look.problem(ended.problem)
        return
    shares = use.loudest_shares(model, imatrix)
    if not shares:
        raise ValueError(words.of_another(model.name))
    one, two = st.columns([3, 2], vertical_alignment="bottom")
    with one:
        asked = controls.tensor()
    with two:
        format_name = choose_format()
    tensor = asked if asked in shares else max(shares, key=shares.__getitem__)
    if tensor != asked:
        look.note(words.no_entry(asked, tensor))
    saving.of(model.name, tensor, format_name)
    importance = cache.importance(model.name, tensor)
    if quiet := use.silent(imatrix, model.quantizable):
        look.problem(words.silent(quiet))
    columns(imatrix, tensor, importance)
    by_matrix(shares, tensor)
    st.space("medium")
    try:
        FORMATS[format_name].check(model.tensors[tensor].shape)
    except ValueError:
        look.finding(words.does_not_fit(tensor, format_name))
        return
    what_it_changes(model, tensor, format_name, importance)


def choose_format() -> str:
    """Ask for a format that an importance matrix changes."""
    return st.selectbox(
        "Format", USE_IT, index=USE_IT.index("Q4_K"), key="weighted",
        help="The formats for which ggml chooses other codes if there is an importance matrix.",
        **controls.BOUND,
    )  # fmt: skip


def columns(imatrix: Imatrix, tensor: str, importance: use.Floats) -> None:
    """Draw which columns of a matrix matter."""
    st.space("small")
    look.finding(
        words.loudest(tensor, use.loudest(importance)),
        words.how_to_read_columns(imatrix),
        help="The error of a weight is multiplied by its input, so an error in a column with large "
        "inputs costs more. llama.cpp keeps the mean of the squared inputs of each column.",
    )
    if not importance.any():
        return
    look.show(
        charts.columns(importance, look.current()),
        key="imatrix_columns",
        alt=f"Mean squared input of the {importance.size} columns of {tensor}, on a log scale.",
    )


def by_matrix(shares: Mapping[str, float], tensor: str) -> None:
    """Draw how uneven the columns are, matrix by matrix."""
    st.space("medium")
    look.finding(words.most_uneven(shares), words.HOW_TO_READ_MAP)
    says = {name: percent(share) for name, share in shares.items()}
    look.show(
        layer_map.layer_map(shares, says, tensor, look.current()),
        key="imatrix_map",
        alt=f"Share that the most important 1 % of the columns hold, {len(shares)} matrices.",
        on_select=_take_clicked,
        selection_mode="points",
    )
    with st.expander("Table of all matrices"):
        tables.show(
            [{"tensor": name, SHARE: share} for name, share in shares.items()],
            [
                tables.Column(key="tensor", title="tensor", text=True),
                tables.Column(key=SHARE, title="held by the top 1 % of columns", show=percent),
            ],
            "imatrix_shares",
            caption="How uneven the importance of the columns is, by matrix",
            chosen=tensor,
        )


def _take_clicked() -> None:
    """Take over the tensor of a clicked cell."""
    if place := controls.clicked("imatrix_map"):
        st.session_state["tensor"] = place[0]


def what_it_changes(model: Model, tensor: str, format_name: str, importance: use.Floats) -> None:
    """Draw one block both ways, and the errors of it and of the whole matrix."""
    fmt, weights = FORMATS[format_name], tensors.weights(model.name, tensor)
    whole = cache.with_and_without(model.name, tensor, format_name)
    look.finding(words.changed(tensor, format_name, whole), words.HOW_TO_READ_ERRORS)
    n_rows, n_cols = weights.shape
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = controls.row(n_rows, width=150)
        block = controls.block(n_cols // fmt.block_size, width=150)
    both = use.block_with_and_without(fmt, weights[row], importance, block)
    look.note(words.one_block(row, block, both))
    look.show(
        charts.one_block(both, format_name, look.current(), narrow=look.narrow()),
        key="imatrix_block",
        alt=f"Errors of the {fmt.block_size} weights of one block, with and without importance.",
    )
    tables.show(
        [
            {"error": what, WITHOUT: pair[0], WITH: pair[1]}
            for what, pair in words.error_rows(both, whole)
        ],
        [
            tables.Column(key="error", title="error", text=True),
            tables.Column(key=WITHOUT, title="without", show=words.finely),
            tables.Column(key=WITH, title="with importance", show=words.finely),
        ],
        "imatrix_errors",
        caption=f"Errors of {tensor} in {format_name}, with and without importance",
    )
