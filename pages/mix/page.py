"""Page: which type each tensor of a file gets and why, and what another choice would cost."""

import streamlit as st

from pages.mix import by_hand, words
from pages.mix import choice as mix_choice
from pages.mix import divergence as mix_divergence
from pages.mix import errors as mixing
from pages.mix import take as mix_take
from pages.mix import tensor as mix_tensor
from pages.mix import weights as mix_weights
from pages.mix.charts import map as charts
from pages.shared import controls, frame, look

frame.enter("mix")

style, model = look.current(), controls.model()


def clicked() -> None:
    """Choose the tensor that was clicked."""
    if place := controls.clicked("mix_map"):
        st.session_state["tensor"] = place[0]


# ---- the recipe ---------------------------------------------------------------------------------

st.title("Mix", anchor=False)
choice = mix_choice.choose(model)
with_imatrix, mixed = choice.with_imatrix, choice.hears_names
hand_types = by_hand.changes(model)
if hand_types and not mixed:
    look.note(words.names_unheard(choice.file_type))
n_changed = len(hand_types) if mixed else 0
base, hand = choice.base, choice.plan(hand_types)
before, after = mixing.types_of(base), mixing.types_of(hand)
cases = [case for types in (after, before)
         for case in mixing.cases(model, types.items(), with_imatrix)]  # fmt: skip
mixing.at_once(model, mixing.lacking(model, cases))
base_recipe = mixing.recipe(model, choice.name, base, with_imatrix)
name = "by hand" if n_changed else choice.short_name
mine = mixing.recipe(model, name, hand, with_imatrix)

# ---- the map ------------------------------------------------------------------------------------

st.space("small")
look.finding(
    words.headline(mine, base_recipe, n_changed),
    words.HOW_TO_READ_MAP,
    help="Weight error: root of the squared errors’ sum over the squared weights’ sum, all tensors "
    "together. Bits a weight as llama-quantize counts them, norms included.",
)
if not with_imatrix and any(each.needs_imatrix for each in hand.tensors):
    look.note(words.REFUSED)
mixing.offer(model, mixing.lacking(model, cases), "recipe", "Measure the weight error")
fallen = [each for each in hand.tensors if each.fallback]
if fallen:
    st.markdown(words.fallbacks(fallen))
if moved := [n for n in after if after[n] != before[n] and n not in hand_types]:
    look.note(words.shifted(moved))
tensor = st.session_state.get("tensor") or st.query_params.get("tensor")
tensor = tensor if tensor in model.quantizable else model.quantizable[0]
left, right = st.columns([3, 2], gap="large")
with left:
    look.show(
        charts.type_map(
            {name: after[name] for name in model.quantizable},
            [each.name for each in fallen],
            list(hand_types),
            tensor,
            style,
        ),
        key="mix_map",
        alt=f"{choice.name}: types by layer and role; {tensor} is {after[tensor]}.",
        on_select=clicked,
        selection_mode="points",
    )
with right:
    mix_tensor.section(choice, hand, hand_types, mine)

# ---- what it costs the model --------------------------------------------------------------------

st.space("medium")
mix_divergence.section(choice, hand, n_changed)

# ---- where the bytes go, and weight error -------------------------------------------------------

st.space("medium")
left, right = st.columns([2, 3], gap="large")
with left:
    mix_weights.bytes_by_role(choice, hand)
with right:
    mix_weights.size_against_error(choice, mine, n_changed)

# ---- take it along ------------------------------------------------------------------------------

st.space("medium")
mix_take.section(choice, hand, hand_types)
with st.expander("Table of all tensors"):
    mix_weights.table(choice, hand, tensor)
