"""The column of the page Mix beside the map: one tensor, why it has its type, what others cost."""

import streamlit as st

from pages.mix import by_hand, words
from pages.mix import errors as mixing
from pages.mix.choice import Choice
from pages.shared import controls, look, tables
from pages.shared.units import real_minus
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.source import Model
from quantcore.recipe.plan import Plan

BY_SIZE = sorted(FORMATS, key=lambda name: -GGML_TYPES[name].bits_per_weight)
_NEAR = 3  # types in the table, above and below that of the tensor
COLUMNS = [
    tables.Column(key="type", title="stored as"),
    tables.Column(key="bits_per_weight", title="bits", show="{:.4g}".format),
    tables.Column(key="relative_rmse", title="its error", show=lambda v: f"{100 * v:.3f} %"),
    tables.Column(
        key="change_bytes", title="file, bytes", help="What the file would gain or lose.",
        show=lambda v: real_minus(f"{v:+,}") if v else "–",
    ),
    tables.Column(
        key="change_error", title="error of all",
        show=lambda v: real_minus(f"{100 * v:+.3f} %") if v else "–",
        help="Change of the error of all weights, in percentage points.",
    ),
]  # fmt: skip


def section(choice: Choice, hand: Plan, hand_types: dict[str, str], mine: words.Recipe) -> None:
    """Draw the choice of a tensor, what it costs, its type, and the types around that."""
    model, aided = choice.model, choice.with_imatrix
    tensor = controls.tensor()
    this = next(each for each in hand.tensors if each.name == tensor)
    types = [type for type in _around(choice, tensor, this.type) if choice.hears_names]
    around = mixing.cases(model, [(tensor, type) for type in [*types, this.type]], aided)
    mixing.at_once(model, mixing.lacking(model, around))
    error = mixing.error_of(model, tensor, this.type, aided)
    st.markdown(words.tensor(tensor, this.type, this.bytes, this.bytes / hand.bytes, error))
    look.note(this.rule)
    _store_as(choice, tensor, this.type, hand_types)
    st.toggle("Every type", key="every")
    tables.show(
        [row for type in types if (row := _row(choice, hand, hand_types, mine, tensor, type))],
        COLUMNS,
        "mix_steps",
        caption=f"What {tensor} would cost in other types",
        chosen=this.type,
        formats=True,
    )
    mixing.offer(model, mixing.lacking(model, around), "tensor", "Measure this tensor")


def _store_as(choice: Choice, tensor: str, type: str, hand_types: dict[str, str]) -> None:
    key, able = f"as_{tensor}_{type}", _able(choice.model, tensor, choice.with_imatrix)
    options = list(dict.fromkeys([*able, type]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Store it as", options, options.index(type), key=key, width=180,
            disabled=not choice.hears_names,
            on_change=by_hand.choose, args=(key, tensor, hand_types),
        )  # fmt: skip
        if tensor in hand_types:
            rest = {name: type for name, type in hand_types.items() if name != tensor}
            st.button("Undo", key="undo", on_click=by_hand.remember, args=(rest,))
        if hand_types:
            st.button("Undo all", key="undo_all", on_click=by_hand.remember, args=({},))


def _able(model: Model, tensor: str, aided: bool) -> list[str]:
    """List the types that a tensor can get, largest first."""
    heard = aided and model.imatrix is not None and tensor in model.imatrix.sums
    return [name for name in BY_SIZE if heard or not FORMATS[name].needs_importance]


def _around(choice: Choice, tensor: str, type: str) -> list[str]:
    """List the types a few steps up and down from that of a tensor, or all that fit its rows."""
    n_cols = choice.model.tensors[tensor].shape[-1]
    able = _able(choice.model, tensor, choice.with_imatrix)
    fitting = [name for name in able if n_cols % FORMATS[name].block_size == 0]
    if st.session_state.get("every"):
        return fitting
    bits = GGML_TYPES[type].bits_per_weight
    larger = (GGML_TYPES[name].bits_per_weight > bits for name in fitting)
    at = fitting.index(type) if type in fitting else sum(larger)
    return fitting[max(0, at - _NEAR) : at + _NEAR + 1]


def _row(
    choice: Choice, hand: Plan, hand_types: dict, mine: words.Recipe, tensor: str, type: str
) -> dict | None:
    """Say what a type would cost; None where rows do not divide: the fallback has its own row."""
    model, aided = choice.model, choice.with_imatrix
    other = choice.plan(hand_types | {tensor: type})
    got = mixing.types_of(other)
    if got[tensor] != type:
        return None
    whole = mixing.whole(model, got, aided)
    known = whole is not None and mine.error is not None
    return {
        "type": type,
        "bits_per_weight": GGML_TYPES[type].bits_per_weight,
        "relative_rmse": mixing.error_of(model, tensor, type, aided),
        "change_bytes": other.bytes - hand.bytes,
        "change_error": whole - mine.error if known else None,
    }
