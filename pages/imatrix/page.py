"""Page: the importance matrix: which columns matter, how unevenly, and what that changes."""

import streamlit as st

from pages.imatrix import cache, charts, words
from pages.imatrix import run as imatrix_run
from pages.shared import (
    bench,
    controls,
    frame,
    look,
    tables,
    tensors,
)
from pages.shared.charts import layer_map
from pages.shared.units import percent
from quantcore.evaluate.importance_use import (
    block_with_and_without,
    loudest_share,
)
from quantcore.formats import FORMATS

frame.enter("imatrix")

WEIGHTED = [name for name, fmt in FORMATS.items() if fmt.uses_importance]


def choose_tensor() -> None:
    """Take over the tensor of a clicked cell."""
    if place := controls.clicked("imatrix_map"):
        st.session_state["tensor"] = place[0]


style, model = look.current(), controls.model()
st.title("Importance", anchor=False)
imatrix = bench.imatrix(model.name)
if imatrix is None:
    look.finding(words.none_here(model.name), words.how_to_make(model.path))
    imatrix_run.offer(model)
    st.stop()
one, two = st.columns([3, 2], vertical_alignment="bottom")
with one:
    tensor = controls.tensor()
shares = {}
for name in model.quantizable:
    found = imatrix.importance(name)
    if found is not None and found.size == model.tensors[name].shape[1]:
        shares[name] = loudest_share(found)
if not shares:
    raise ValueError(words.of_another(model.name))
if tensor not in shares:
    asked, tensor = tensor, max(shares, key=shares.get)
    look.note(words.no_entry(asked, tensor))
importance = imatrix.importance(tensor)
name = two.selectbox(
    "Format", WEIGHTED, index=WEIGHTED.index("Q4_K"), key="weighted",
    help="The formats that ggml chooses other codes for with an importance matrix.",
    **controls.BOUND,
)  # fmt: skip
fmt = FORMATS[name]

# ---- which columns matter -----------------------------------------------------------------------

st.space("small")
look.finding(
    words.loudest(tensor, importance),
    words.how_to_read_columns(imatrix),
    help="The error of a weight is multiplied by its input, so an error in a column with large "
    "inputs costs more. llama.cpp keeps the mean of the squared inputs of each column.",
)
look.show(
    charts.columns(importance, style),
    key="imatrix_columns",
    alt=f"Mean squared input of the {importance.size} columns of {tensor}, on a log scale.",
)

# ---- how uneven they are, tensor by tensor ------------------------------------------------------

st.space("medium")
look.finding(words.most_uneven(shares), words.HOW_TO_READ_MAP)
look.show(
    layer_map.layer_map(
        shares, {name: percent(share) for name, share in shares.items()}, tensor, style
    ),
    key="imatrix_map",
    alt=f"Share of importance in the loudest hundredth of the columns, {len(shares)} matrices.",
    on_select=choose_tensor,
    selection_mode="points",
)
with st.expander("Table of all matrices"):
    tables.show(
        [{"tensor": name, "share": share} for name, share in shares.items()],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="share", title="held by 1 % of the columns", show=percent),
        ],
        "imatrix_shares",
        caption="How uneven the importance of columns is, by matrix",
        chosen=tensor,
    )

# ---- what it changes ----------------------------------------------------------------------------

st.space("medium")
try:
    fmt.check(model.tensors[tensor].shape)
except ValueError:
    look.finding(words.does_not_fit(tensor, name))
    st.stop()
weights = tensors.weights(model.name, tensor)
whole = cache.with_and_without(model.name, tensor, name)
look.finding(words.changed(tensor, name, whole), words.HOW_TO_READ_ERRORS)
with st.container(horizontal=True, vertical_alignment="bottom"):
    n_rows, n_cols = weights.shape
    row = controls.row(n_rows, width=150)
    block = controls.block(n_cols // fmt.block_size, width=150)
both = block_with_and_without(fmt, weights[row], importance, block)
look.note(words.one_block(row, block, both))
look.show(
    charts.one_block(both, name, style, narrow=look.narrow()),
    key="imatrix_block",
    alt=f"Errors of the {fmt.block_size} weights of one block with and without importance.",
)
tables.show(
    [
        {"what": what, "plain": pair[0], "weighted": pair[1]}
        for what, pair in words.error_rows(both, whole)
    ],
    [
        tables.Column(key="what", title="error", text=True),
        tables.Column(key="plain", title="without", show=words.finely),
        tables.Column(key="weighted", title="with importance", show=words.finely),
    ],
    "imatrix_errors",
    caption=f"Errors of {tensor} in {name} with and without its importance matrix",
)
