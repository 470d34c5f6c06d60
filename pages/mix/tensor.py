"""The column of the page Mix beside the map: one tensor, why it has its type, what others cost."""

import streamlit as st

from pages.mix import by_hand, cache, errors, words
from pages.mix.choice import ChosenMix
from pages.shared import controls, look, tables
from pages.shared.units import real_minus
from quantcore.evaluate.mix_error import MixSummary
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.recipe.alternatives import fitting_types, nearby_types, storable_types
from quantcore.recipe.plan import Plan

COLUMNS = [
    tables.Column(key="type", title="stored as"),
    tables.Column(key="bits_per_weight", title="bits", show="{:.4g}".format),
    tables.Column(key="relative_rmse", title="its error", show=lambda v: f"{100 * v:.3f} %"),
    tables.Column(
        key="change_bytes", title="file, bytes", help="What the file would gain or lose.",
        show=lambda v: real_minus(f"{v:+,}") if v else "–",
    ),
    tables.Column(
        key="change_error", title="error of all, points",
        show=lambda v: real_minus(f"{100 * v:+.3f}") if v else "–",
        help="Change of the error of all weights, in percentage points.",
    ),
]  # fmt: skip


def section(choice: ChosenMix, hand: Plan, hand_types: dict[str, str], mine: MixSummary) -> None:
    """Draw the choice of a tensor, what it costs, its type, and the types around that."""
    model, with_imatrix = choice.model, choice.with_imatrix
    table = cache.error_table(model.name)
    tensor = controls.tensor()
    this = next(each for each in hand.tensors if each.name == tensor)
    types = _listed(choice, tensor, this.type) if choice.allows_changes else []
    cases = table.cases([(tensor, type) for type in [*types, this.type]], with_imatrix)
    errors.at_once(table, cases)
    error = table.error(tensor, this.type, with_imatrix)
    look.say(words.tensor(tensor, this.type, this.bytes, this.bytes / hand.bytes, error))
    look.note(this.rule)
    _store_as(choice, tensor, this.type, hand_types)
    st.toggle("Every format", key="every")
    others = {type: choice.plan(hand_types | {tensor: type}) for type in types}
    tables.show(
        # Where rows do not divide there is no row: the fallback has its own.
        [
            _row(choice, tensor, type, other, hand, mine)
            for type, other in others.items()
            if other.types[tensor] == type
        ],
        COLUMNS,
        "mix_steps",
        caption=f"What {tensor} would cost in other formats",
        chosen=this.type,
        formats=True,
    )
    errors.offer(model.name, cases, "tensor", "Measure this tensor")


def _listed(choice: ChosenMix, tensor: str, type: str) -> list[str]:
    """List the types a few steps up and down from that of a tensor, or all that fit its rows."""
    if st.session_state.get("every"):
        return fitting_types(choice.model, tensor, choice.with_imatrix)
    return nearby_types(choice.model, tensor, type, choice.with_imatrix)


def _store_as(choice: ChosenMix, tensor: str, type: str, hand_types: dict[str, str]) -> None:
    key = f"as_{tensor}_{type}"
    able = storable_types(choice.model, tensor, choice.with_imatrix)
    options = list(dict.fromkeys([*able, type]))
    why = "" if choice.allows_changes else words.changes_ignored(choice.file_type)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Store it as", options, options.index(type), key=key, width=180,
            disabled=bool(why), help=why or "Takes precedence over the rules.",
            on_change=by_hand.choose, args=(key, tensor, hand_types),
        )  # fmt: skip
        if tensor in hand_types:
            rest = {name: type for name, type in hand_types.items() if name != tensor}
            st.button("Undo", key="undo", on_click=by_hand.remember, args=(rest,))
        if hand_types:
            st.button("Undo all", key="undo_all", on_click=by_hand.remember, args=({},))


def _row(
    choice: ChosenMix, tensor: str, type: str, other: Plan, hand: Plan, mine: MixSummary
) -> dict:
    """Say what a file costs in which one tensor has another type."""
    table = cache.error_table(choice.model.name)
    total = table.total(other.types, choice.with_imatrix)
    return {
        "type": type,
        "bits_per_weight": GGML_TYPES[type].bits_per_weight,
        "relative_rmse": table.error(tensor, type, choice.with_imatrix),
        "change_bytes": other.bytes - hand.bytes,
        "change_error": None if total is None or mine.error is None else total - mine.error,
    }
