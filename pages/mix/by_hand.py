"""Types of tensors chosen by hand: kept in a control, and so in the address; loaded from a file.

A file is what `--tensor-type-file` reads, patterns and types, or a whole recipe as JSON.
"""

import streamlit as st

from pages.shared import uploads
from pages.shared.frame import sentence
from quantcore.model.source import Model
from quantcore.recipe.overrides import MOST, first_matches, parse_override, parse_overrides
from quantcore.recipe.plan import Plan
from quantcore.recipe.recipe_file import MAX_FILE_BYTES, plan_of_recipe

BY_RECIPE = "the loaded recipe"  # what the control "Formats by" calls it
_PROBLEM = "_recipe"
_LOADED = "_loaded_recipe"  # key of its model, and its plan


def changes(model: Model) -> dict[str, str]:
    """Types chosen by hand, by tensor; ValueError in one sentence for an entry that is none."""
    types, matrices = {}, set(model.quantizable)
    entries = st.session_state.get("set") or []
    if len(entries) > MOST:
        raise ValueError(f"{len(entries):,} types by hand are too many: give at most {MOST:,}.")
    for entry in entries:
        wanted = parse_override(entry)
        name = f"{wanted.pattern}.weight"
        if name not in matrices:
            raise ValueError(f"{model.name} has no matrix {wanted.pattern[:60]!r} to change.")
        types[name] = wanted.type
    return types


def remember(types: dict[str, str]) -> None:
    """Keep types chosen by hand in the control, and so in the address."""
    pairs = types.items()
    st.session_state["set"] = [f"{name.removesuffix('.weight')}={type}" for name, type in pairs]


def choose(key: str, tensor: str, hand: dict[str, str]) -> None:
    """Take over the type that was chosen for a tensor."""
    remember(hand | {tensor: st.session_state[key]})


def loaded(model: Model) -> Plan | None:
    """Return the recipe that was loaded for a model, None where there is none."""
    key, plan = st.session_state.get(_LOADED, ("", None))
    return plan if key == model.key else None


def load(model: Model) -> None:
    """Take over a recipe that was uploaded: with the importance matrix if it was made with one."""
    if (file := st.session_state["recipe_file"]) is None:
        return
    try:
        text = uploads.text_of(file, MAX_FILE_BYTES)
        if text.lstrip().startswith("{"):
            plan = plan_of_recipe(text, model)
            st.session_state[_LOADED] = model.key, plan
            st.session_state["by"] = BY_RECIPE
            st.session_state["with_imatrix"] = plan.with_imatrix
            remember({})
        else:
            remember(_types_of(model, text))
    except ValueError as problem:
        st.session_state[_PROBLEM] = sentence(problem)


def _types_of(model: Model, text: str) -> dict[str, str]:
    found = first_matches(parse_overrides(text, "the file"), model.quantizable)
    if not found:
        raise ValueError("No pattern of that file matches the name of a tensor.")
    return {name: override.type for name, override in found.items()}


def problem() -> str:
    """Say once what was wrong with the recipe that was loaded last; nothing where all was well."""
    return st.session_state.pop(_PROBLEM, "")
