"""Page: which type each tensor of a file gets and why, and what another choice would cost."""

import streamlit as st

from pages.mix import by_hand, cache, divergence, errors, take, tensor, weights, words
from pages.mix.charts import map as charts
from pages.mix.choice import ChosenMix, choose
from pages.shared import controls, definitions, look, saving
from pages.shared.units import WEIGHT_ERROR
from quantcore.evaluate.mix_error import Case, MixSummary
from quantcore.recipe.plan import Plan


def main() -> None:
    """Draw the page."""
    model = controls.model()
    definitions.head("Mix", words.PURPOSE, words.DEFINED)
    choice = choose(model)
    hand_types = by_hand.changes(model)
    if hand_types and not choice.allows_changes:
        look.note(words.changes_ignored(choice.file_type))
    n_changed = len(hand_types) if choice.allows_changes else 0
    hand = choice.plan(hand_types)
    cases = _measured_at_once(choice, hand)
    saving.of(model.name, f"{choice.name}, by hand" if n_changed else choice.name)
    mine = _summary(choice, "by hand" if n_changed else choice.short_name, hand)

    st.space("small")
    _headline(choice, hand, mine, n_changed)
    _notes(choice, hand, hand_types, cases)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _map(choice, hand, hand_types)
    with right:
        tensor.section(choice, hand, hand_types, mine)

    st.space("medium")
    divergence.section(choice, hand, n_changed)

    st.space("medium")
    left, right = st.columns([2, 3], gap="large")
    with left:
        weights.bytes_by_role(hand)
    with right:
        weights.size_against_error(choice, mine, n_changed)

    st.space("medium")
    take.section(choice, hand, hand_types)
    with st.expander("Table of all tensors"):
        weights.table(choice, hand, controls.tensor_to_come())


def _measured_at_once(choice: ChosenMix, hand: Plan) -> list[Case]:
    """Measure the recipe and what it was before changes by hand, where that is quick."""
    table = cache.error_table(choice.model.name)
    cases = [
        case
        for plan in (hand, choice.base)
        for case in table.cases(plan.types.items(), choice.with_imatrix)
    ]
    errors.at_once(table, cases)
    return cases


def _summary(choice: ChosenMix, name: str, plan: Plan) -> MixSummary:
    return cache.error_table(choice.model.name).summary(name, plan, choice.with_imatrix)


def _headline(choice: ChosenMix, hand: Plan, mine: MixSummary, n_changed: int) -> None:
    look.finding(
        words.headline(mine, _summary(choice, choice.name, choice.base), n_changed),
        words.HOW_TO_READ_MAP,
        help=f"{WEIGHT_ERROR} Bits per weight as llama-quantize counts them, norms included.",
    )
    if refused := _refused(choice, hand):
        has_one = choice.model.imatrix is not None
        look.note(words.refused(refused[0], choice.with_imatrix, has_one))


def _refused(choice: ChosenMix, hand: Plan) -> list[str]:
    """Name the tensors whose type needs an importance matrix that is not there for them."""
    table = cache.error_table(choice.model.name)
    cases = table.cases(hand.types.items(), choice.with_imatrix)
    lacking = [case.tensor for case in cases if table.lacks_importance(case)]
    return lacking + [each.name for each in hand.tensors if each.needs_imatrix]


def _notes(choice: ChosenMix, hand: Plan, hand_types: dict[str, str], cases: list[Case]) -> None:
    """Offer to measure, and say what is not as it was asked for."""
    errors.offer(choice.model.name, cases, "recipe", "Measure the weight error")
    if fallen := _fallen(hand):
        look.say(words.fallbacks(fallen))
    before, after = choice.base.types, hand.types
    if moved := [n for n in after if after[n] != before[n] and n not in hand_types]:
        look.note(words.shifted(moved))


def _map(choice: ChosenMix, hand: Plan, hand_types: dict[str, str]) -> None:
    types, tensor_name = hand.types, controls.tensor_to_come()
    look.show(
        charts.type_map(
            {name: types[name] for name in choice.model.quantizable},
            [each.name for each in _fallen(hand)],
            list(hand_types),
            tensor_name,
            look.current(),
        ),
        key="mix_map",
        alt=f"{choice.name}: formats by layer and role; {tensor_name} is {types[tensor_name]}.",
        on_select=_clicked,
        selection_mode="points",
    )


def _fallen(hand: Plan) -> list:
    return [each for each in hand.tensors if each.fallback]


def _clicked() -> None:
    """Choose the tensor that was clicked."""
    if place := controls.clicked("mix_map"):
        st.session_state["tensor"] = place[0]
