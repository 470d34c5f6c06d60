"""Inputs that pages share. Each is bound to the address, so that a view can be linked.

The same key on every page (`model`, `tensor`, `row`, `block`, `type`): what was chosen on one page
is still chosen on the next.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import parse_qs

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared import (
    bench,
    look,
    shipped,
)
from pages.shared.units import the
from quantcore.evaluate.quantized import suited_format
from quantcore.formats import FORMATS, OUTSIDE_GGUF, UNAIDED
from quantcore.recipe.types import get_type

if TYPE_CHECKING:
    import quantcore


class Bound(TypedDict):
    """What every shared input is drawn with."""

    bind: Literal["query-params"]


BOUND: Bound = {"bind": "query-params"}
# Keys that pages share, and how their values are read from an address, which has a list for each.
SHARED: dict[str, Callable[[list[str]], Any]] = {
    **dict.fromkeys(("tensor", "type", "way", "example"), lambda values: values[-1]),
    **dict.fromkeys(("row", "block", "part"), lambda values: int(values[-1])),
    "types": list,
}
FROM_MODEL = "From the model"  # the example of the page Block that shows a chosen tensor
_CHOICE = "_choice"  # what a click asked for, until the next run
_PAGE = "_page"  # the page of the last run
_MODEL = "_model"  # the model of the last run
_REPLACED = "_replaced"  # a tensor, the type that took another's place there, what is said of it
_CARRIED = "_carried"  # choices are from another page, or were made for another model
_RENAMED = {  # options, by the key of their control: the word before, and that of today
    "way": ("one format throughout", "pure"),
    "errors_as": ("one format throughout", "pure"),
    "how": ("all but this", "everything except this"),
    "hows": ("all but this", "everything except this"),
    "whose": ("Sizes of my own", "Custom sizes"),
}
_UNWRITTEN = "_unwritten"  # values were set that the address does not show yet
INTEGERS = (
    "INT8_TENSOR",
    "INT8_ROW",
    "INT8_G128",
    "INT4_TENSOR",
    "INT4_ROW",
    "INT4_G128",
    "INT4_G32_ASYM",
    "INT4_G128_ASYM",
    "INT3_G128",
    "INT3_G128_ASYM",
    "INT2_G64_ASYM",
    "INT2_G32_ASYM",
)
_WHICH = (
    "Block formats have ggml’s names. FP8, NF4, `NVFP4_TENSOR` (NVIDIA’s, with a scale for the "
    "tensor) and `MXFP4_OCP` are formats of other tools’ files. INT2 to INT8 can be typed in as "
    "well: `INT4_TENSOR`, `INT4_ROW` or `INT4_G64` says which weights share a scale (the whole "
    "tensor, each row, or every 64 weights of a row); `_ASYM` at the end adds a zero point."
)


def carry_over(page: str) -> None:
    """Keep what the last page chose. Called once, in ``app.py``, before the page runs.

    Streamlit forgets a widget's value when another page draws a widget with the same key; a value
    that the script has set is kept. What the address says wins.
    """
    moved = st.session_state.get(_PAGE) != page
    st.session_state[_PAGE] = page
    if moved and (back := _asked_by_going_back()) is not None:
        for key in SHARED:
            st.session_state.pop(key, None)
        go(**back)
    _follow_old_links(page, moved)
    known = [key for key in SHARED if key in st.session_state]
    kept = {key: st.session_state[key] for key in known if key not in st.query_params}
    choice = st.session_state.pop(_CHOICE, {})
    st.session_state.update(kept | choice)
    opened = st.session_state.get("model")
    st.session_state[_CARRIED] = moved or st.session_state.get(_MODEL) != opened
    st.session_state[_MODEL] = opened
    st.session_state[_UNWRITTEN] = bool(choice or (known and moved))


def _asked_by_going_back() -> dict[str, Any] | None:
    """Read the shared values of the address that the browser's Back or Forward led to.

    Streamlit drops those that a control of the page before has a value of. None in any other run.
    """
    run = get_script_run_ctx()
    if run is None or not run.is_history_navigation:
        return None
    asked: dict[str, Any] = {}
    for key, values in parse_qs(run.query_string).items():
        if key in SHARED:
            with suppress(ValueError):  # an address that somebody typed
                asked[key] = SHARED[key](values)
    return asked


def _follow_old_links(page: str, arrived: bool) -> None:
    """Say in today's words what links say that people saved."""
    asked = st.query_params
    for key, (before, now) in _RENAMED.items():
        if before in (said := asked.get_all(key)):
            asked[key] = [now if word == before else word for word in said]
            st.session_state[key] = asked.get_all(key) if key == "hows" else now
    if page == "block" and arrived and asked.get("example", "")[:2] == "33" and "type" in asked:
        asked["plain_type"] = st.session_state["plain_type"] = asked.pop("type")
    if page == "file" and "measure" in asked:
        st.session_state["measure_errors"] = asked.pop("measure") == "true"


def follow_default(key: str, default: Any) -> None:
    """Give a control, before it is drawn, its new default where it still shows the former one.

    For defaults that follow the model: what somebody has chosen stays.
    """
    former = st.session_state.get(f"_{key}_default", default)
    if former != default and st.session_state.get(key) == former:
        st.session_state[key] = default
    st.session_state[f"_{key}_default"] = default


def unwritten() -> bool:
    """Tell once whether values were carried over that the address does not show yet.

    A value that the script set reaches the address only when its widget was there before: in the
    next run that the browser asks for.
    """
    return st.session_state.pop(_UNWRITTEN, False)


def go(page: str | None = None, **choice) -> None:
    """Go to a page (``"weights"``), or draw this one again, with other values in shared controls.

    For clicks: a link's parameters would be lost where this page has a control of the same name.
    """
    if page == "block":
        choice.setdefault("example", FROM_MODEL)  # not the textbook's, with which it opens
    st.session_state[_CHOICE] = choice
    if page is None:
        st.rerun()
    st.switch_page(f"pages/{page}.py", query_params={})  # the controls write theirs again


def model_name() -> str:
    """Name the chosen model, as cached calls want it."""
    return st.session_state["model"]


def model() -> "quantcore.Model":
    """Return the chosen model, opened; ValueError in one sentence where it cannot be."""
    return bench.model(model_name())


def tensor(label: str = "Tensor", **more: Any) -> str:
    """Ask for one of the model's quantizable tensors, by its GGUF name."""
    return st.selectbox(
        label,
        model().quantizable,
        key="tensor",
        help="Named as in GGUF: `blk.3.ffn_down.weight` is the down projection of layer 3.",
        **BOUND,
        **more,
    )


def row(n_rows: int, **more: Any) -> int:
    """Ask for a row of the tensor, from 0."""
    return _whole("Row", "row", n_rows, "One row holds the weights of one output.", **more)


def block(n_blocks: int, **more: Any) -> int:
    """Ask for a block within the row, from 0."""
    return _whole("Block", "block", n_blocks, "A run of weights stored together.", **more)


def part(n_parts: int, start: int = 0, **more: Any) -> int:
    """Ask for a sub-block of a super-block, from 0."""
    says = "Weights within the block with a scale of their own."
    return _whole("Sub-block", "part", n_parts, says, start, **more)


def type_(of: str | None, default: str = "Q4_K", *, key: str = "type", **more: Any) -> str:
    """Ask for the format of a tensor, or of made-up weights. Any INT format can be typed in.

    Of a mix that another page chose, the format of most matrices is taken. Where the tensor cannot
    be stored in what was chosen elsewhere, or for another model, another format takes its place.
    Formats that need an importance matrix are listed where one lies with the model; the default
    always is, since a file may hold it. ValueError where the name is unknown.
    """
    wanted = st.session_state.get(key)
    if of is not None:
        default = suited_format(model(), of, default)
    if wanted is not None:
        wanted = st.session_state[key] = get_type(wanted, pure=True).format.name
        if of is not None and st.session_state[_CARRIED]:
            suited = st.session_state[key] = suited_format(model(), of, wanted)
            st.session_state.pop(_REPLACED, None)
            if suited != wanted:
                note = f"{wanted} does not suit {the(of)}: {suited} takes its place."
                st.session_state[_REPLACED] = (of, suited, note)
    options = list(dict.fromkeys([*ggml_formats(), *OUTSIDE_GGUF, *INTEGERS, default]))
    chosen = st.selectbox(
        "Format",
        options,
        index=options.index(default),
        key=key,
        accept_new_options=True,
        help="How the weights are stored. " + _WHICH,
        **BOUND,
        **more,
    )
    name = get_type(chosen, pure=True).format.name
    replaced_in, suited, note = st.session_state.get(_REPLACED, ("", "", ""))
    if (replaced_in, suited) == (of, name):
        look.note(note)
    return name


def tensor_to_come() -> str:
    """Name the tensor of `tensor`, whose control is not drawn yet: until then its address knows."""
    matrices = model().quantizable
    asked = st.session_state.get("tensor") or st.query_params.get("tensor")
    return asked if asked in matrices else matrices[0]


def ggml_formats() -> tuple[str, ...]:
    """List ggml's formats that the model can be stored in, by its importance matrix or without."""
    return UNAIDED if model().imatrix is None else tuple(FORMATS)


def clicked(chart: str) -> list | None:
    """Return what the clicked mark of a chart carries as ``customdata``; for callbacks."""
    points = st.session_state[chart].selection.points
    if not points:
        return None
    carried = points[0]["customdata"]
    if isinstance(carried, dict):  # an array in plotly's binary form: {"0": 3, "1": 7}
        carried = list(carried.values())
    return carried if isinstance(carried, list) else [carried]


def link(page: str, label: str, key: str, **choices) -> None:
    """Draw the way to another page, which opens with these choices; `go` says what they are."""
    arrow = ":material/arrow_forward:"
    if st.button(label, key=key, icon=arrow, icon_position="right", type="tertiary"):
        go(page, **choices)


def choose_from(event, key: str = "type", page: str | None = None, **more: Any) -> None:
    """Take over what was clicked in a chart whose marks carry a name as ``customdata``.

    Parameters
    ----------
    event
        What `pages.shared.look.show` returned, with ``on_select="rerun"``.
    key
        The shared control that takes the name.
    page
        The page that opens, such as ``"weights"``; this one is drawn again where it is left out.
    more
        What else is chosen then, by key.
    """
    points = event.selection.points
    picked = points[-1].get("customdata") if points else None
    picked = picked[0] if isinstance(picked, list) else picked
    taken = st.session_state.get("_picked")
    st.session_state["_picked"] = picked
    if picked and picked != taken and (page or picked != st.session_state.get(key)):
        go(page, **more | {key: picked})


def _whole(label: str, key: str, count: int, says: str, start: int = 0, **more: Any) -> int:
    """Ask for a number below `count`; one that another tensor left beyond it is brought back."""
    if st.session_state.get(key, 0) >= count:
        st.session_state[key] = count - 1
    start, says = min(start, count - 1), f"{says} 0 to {count - 1:,}."
    return st.number_input(label, 0, count - 1, start, key=key, help=says, **BOUND, **more)


def published() -> dict | None:
    """Ask whether a large model's published figures are drawn beside ours."""
    figures = shipped.published()
    wanted = st.pills(
        "Compare with",
        [figures["model"]],
        key="beside",
        help=f"Published by llama.cpp: {figures['source']}; {figures['text']}.",
        **BOUND,
    )
    return figures if wanted else None
