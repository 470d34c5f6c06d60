"""Inputs for what becomes of a whole model: mixes as llama-quantize makes them, or pure types.

What the command line says with `--type` and `--pure`. The types share the keys `type` and `types`
with `pages.shared.controls`; each page spells what another page chose in its own way.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.shared import (
    controls,
    look,
    plans,
)
from pages.shared.units import plural
from quantcore.formats import DEFAULTS, OUTSIDE_GGUF, UNAIDED
from quantcore.formats.fitting import instead
from quantcore.model.source import Model
from quantcore.recipe.types import get_type

MIXES, PURE = WAYS = ("mixes", "pure")
USUAL = "Q4_K_M"
_WHAT_IS_A_MIX = (
    "A mix is what `llama-quantize` makes: Q4_K_M stores most matrices in Q4_K, and some that "
    "matter more in Q6_K. Pure stores every matrix in Q4_K, as `--pure` does; the type is then "
    "called “Q4_K pure”. Names of other types, such as INT4_G128 and NVFP4, are always pure."
)


def choose_way(key: str = "way", default: str = MIXES) -> bool:
    """Ask whether types are mixes; True where they are to be pure."""
    return PURE == st.segmented_control(
        "Quantize as", WAYS, default=default, required=True, key=key, help=_WHAT_IS_A_MIX,
        **controls.BOUND,
    )  # fmt: skip


def type_(label: str = "Type", *, pure: bool = False, **more: Any) -> str:
    """Ask for one type, at first one that the model can be stored in.

    ValueError where the name is unknown.
    """
    if "type" in st.session_state:
        st.session_state["type"] = _spelled(st.session_state["type"], pure)
    default = _suited(USUAL, pure)
    controls.follow_default("type", default)
    always = () if pure else (get_type(name, pure=True).name for name in UNAIDED)
    listed = list(dict.fromkeys([*_listed(pure), *always]))
    chosen = st.selectbox(
        label,
        listed,
        index=listed.index(default),
        key="type",
        accept_new_options=True,
        help="A mix or a format. " + _WHAT_IS_A_MIX,
        **controls.BOUND,
        **more,
    )
    return get_type(chosen, pure).name


def types(
    label: str = "Types", *, pure: bool = False, default: Sequence[str] = DEFAULTS
) -> list[str]:
    """Ask for types to compare, folded away, and say so where none is chosen.

    The address and `default` may name any type besides those listed.
    """
    start = _all_spelled(default, pure)
    controls.follow_default("types", start)
    if "types" in st.session_state:
        st.session_state["types"] = _all_spelled(st.session_state["types"], pure)
    asked = [*st.query_params.get_all("types"), *st.session_state.get("types", [])]
    options: list[str] = [*_listed(pure), *start, *(name for name in asked if get_type(name))]
    n_chosen = len(st.session_state.get("types", start))
    with st.popover(f"{label}: {plural(n_chosen, 'type')}", help=_WHAT_IS_A_MIX):
        chosen = st.pills(
            label,
            list(dict.fromkeys(options)),
            selection_mode="multi",
            default=start,
            key="types",
            wrap=True,
            label_visibility="collapsed",
            **controls.BOUND,
        )
    if not chosen:
        look.note("Choose at least one type.")
    return list(dict.fromkeys(get_type(name, pure).name for name in chosen))


def storable(model: Model, names: Sequence[str], pure: bool) -> list[str]:
    """Keep the types in which every matrix of a model can be stored, mixes or pure as wanted."""
    meant = {name: get_type(name, pure).name for name in names}
    return [name for name in names if not plans.fitting(model.name, meant[name]).left_out]


def _suited(usual: str, pure: bool) -> str:
    """Spell a usual type, or one that takes its place where the model does not fit it."""
    spelled, model = _spelled(usual, pure), controls.model()
    if storable(model, [spelled], pure):
        return spelled
    return instead([model.tensors[name].shape for name in model.quantizable])[0]


def copies(model: Model, type_name: str) -> str:
    """Say which matrices of a GGUF file a type leaves as they are; nothing where it changes all."""
    formats = plans.formats(model.name, type_name)
    n_held = sum(model.holds(name, fmt) for name, fmt in formats.items())
    if not n_held or model.base is not None or model.path.is_dir():
        return ""
    return (
        f"In the file, {n_held} of {plural(len(formats), 'matrix', 'matrices')} already "
        f"{'has' if n_held == 1 else 'have'} the format that {type_name} gives "
        f"{'it' if n_held == 1 else 'them'}: as with llama-quantize, the bytes are kept as they "
        "are, so nothing more is lost there."
    )


def of_way(names, pure: bool) -> list[str]:
    """Keep the types that are shown this way: those that are no mixes belong to both.

    >>> of_way(["Q4_K_M", "Q4_K pure", "INT4_ROW", "F16"], pure=False)
    ['Q4_K_M', 'INT4_ROW', 'F16']
    """
    meant = map(get_type, names)
    return [m.name for m in meant if m.name == (m.pure if pure else m.mixed).name]


def _listed(pure: bool) -> list[str]:
    """Types that a page offers: one format for all matrices needs an importance of each."""
    if pure:
        return [*UNAIDED, *OUTSIDE_GGUF, *controls.INTEGERS]
    alone = [name for name in UNAIDED if get_type(name, pure=True).name == name]
    mixes = [name for name in plans.mixes() if name != "MXFP4_MOE"]
    return list(dict.fromkeys([*mixes, *alone, *OUTSIDE_GGUF, *controls.INTEGERS]))


def _spelled(name: str, pure: bool) -> str:
    """Spell a type as the control lists it: by its format where that is wanted throughout."""
    return get_type(name, pure=True).format.name if pure else get_type(name).name


def _all_spelled(names, pure: bool) -> list[str]:
    return list(dict.fromkeys(_spelled(name, pure) for name in names))
