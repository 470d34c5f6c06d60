"""Which recipes the page Drift compares: those measured already, and any that one puts together."""

from collections.abc import Sequence

import streamlit as st

from pages.drift import recipes_words
from pages.drift.recipes_measuring import unsuited
from pages.shared import bench, controls, look, plans
from pages.shared.recipes import called
from pages.shared.units import plural
from quantcore.evaluate.recipes import Recipe, get_recipe
from quantcore.formats import LATTICE, OUTSIDE_GGUF
from quantcore.methods import METHODS
from quantcore.model.source import Model
from quantcore.recipe.types import get_type

KEY = "recipes"
AIDED = "imatrix"  # a mix with the importance matrix, where methods are listed
# Four bits in the ways that there are; then what a small model, with rows of few weights, can take.
AT_FIRST = (
    *("INT4_G128_ASYM", "INT4_G128_ASYM by gptq", "INT4_G128_ASYM by awq"),
    *("INT4_G128_ASYM by autoround", "Q4_K pure", "Q4_K pure by gptq", "E8P4 by quip"),
    *("Q4_K_M", "Q4_K_M with imatrix"),
)
USUAL = "INT3_G128_ASYM"  # of what is put together: where methods differ more than at four bits
FLOATS = ("F32", "F16", "BF16")
SMALL = ("INT4_G32_ASYM", "INT4_G32_ASYM by gptq", "INT4_G32_ASYM by awq", "INT4_G32_ASYM by hqq")


def choose(model: Model, known: Sequence[str]) -> list[str]:
    """Ask which recipes are compared, folded away; the address may name any other."""
    start = _at_first(model.name)
    controls.follow_default(KEY, start)
    if KEY in st.session_state:
        st.session_state[KEY] = _labels(st.session_state[KEY])
    written = st.query_params.get_all(KEY)
    asked = [*_labels(written), *written, *st.session_state.get(KEY, [])]
    n_chosen = len(st.session_state.get(KEY, start))
    with st.popover(f"Recipes: {plural(n_chosen, 'recipe')}", help=recipes_words.HELP):
        chosen = st.pills(
            "Recipes",
            list(dict.fromkeys([*_labels(known), *start, *asked])),
            selection_mode="multi",
            default=start,
            key=KEY,
            wrap=True,
            label_visibility="collapsed",
            **controls.BOUND,
        )
        _another(model, chosen)
    if not chosen:
        look.note("Choose at least one recipe.")
    return list(dict.fromkeys(get_recipe(label).name for label in chosen))


def _labels(names: Sequence[str]) -> list[str]:
    """Spell recipes as people read them; ValueError where one is unknown."""
    return list(dict.fromkeys(called(get_recipe(name)) for name in names))


@bench.per_model(st.cache_data, show_spinner=False, max_entries=64)
def _at_first(model_name: str) -> list[str]:
    """List recipes that teach, of those that suit the model."""
    listed = AT_FIRST if not unsuited(model_name, AT_FIRST[0]) else SMALL
    return [called(get_recipe(name)) for name in listed if not unsuited(model_name, name)]


def _another(model: Model, chosen: Sequence[str]) -> None:
    """Ask for a method and a format, and put them with the others."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        ways = [*METHODS, AIDED] if model.imatrix is not None else [*METHODS]
        way = st.selectbox(
            "Method",
            ways,
            format_func=lambda each: "Importance matrix" if each == AIDED else METHODS[each].title,
            index=ways.index("gptq"),
            key="recipe_method",
            width=200,
        )
        able = _formats(model.name, way)
        first = able.index(USUAL) if USUAL in able else 0
        if st.session_state.get("recipe_format") not in able:
            st.session_state.pop("recipe_format", None)
        type_name = st.selectbox("Format", able, first, key="recipe_format", width=200)
        why = "" if able else f"{METHODS[way].title} takes no format of this model."
        added = "" if why else called(_recipe(type_name, way))
        st.button(
            "Add",
            key="add_recipe",
            disabled=bool(why),
            help=why or "Compare this recipe too.",
            on_click=_add,
            args=(chosen, added),
        )


def _add(chosen: Sequence[str], added: str) -> None:
    st.session_state[KEY] = list(dict.fromkeys([*chosen, added]))


def _recipe(type_name: str, way: str) -> Recipe:
    if way == AIDED:
        return Recipe(type=type_name, with_imatrix=True)
    return Recipe(type=type_name, by=way)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=64)
def _formats(model_name: str, way: str) -> list[str]:
    """List the types that a method can store the model in."""
    mixes = [name for name in plans.mixes() if get_type(name).mix and name != "MXFP4_MOE"]
    if way == AIDED:
        return mixes
    blocks = [name for name in controls.ggml_formats() if name not in FLOATS]
    plain = [get_type(name, pure=True).name for name in blocks]
    formats = [*LATTICE] if way == "quip" else [*plain, *OUTSIDE_GGUF, *controls.INTEGERS]
    able = [each for each in formats if not unsuited(model_name, _recipe(each, way).name)]
    return [*mixes, *(each for each in able if each not in mixes)] if way == "rtn" else able
