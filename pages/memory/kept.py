"""Set-ups that were kept for comparison, as text in the address."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.memory import cache, words
from pages.shared import controls
from quantcore.memory import Estimate, FoundModel, Setup
from quantcore.memory.fit_table import how_it_fits
from quantcore.memory.hardware import Machine

MOST = 3
_KEY = "keep"
# What the address says of a set-up, in this order, and how it is read back.
_READ: dict[str, Callable[[str], Any]] = {
    "type_name": str,
    "context": int,
    "sequences": int,
    "key_type": str,
    "value_type": str,
    "runtime": str,
    "shared_prefix": int,
    "batch": int,
    "ubatch": int,
    "flash_attention": {"True": True, "False": False}.__getitem__,
    "utilization": float,
}


@dataclass(frozen=True)
class KeptSetup:
    """One set-up of the comparison."""

    name: str
    taken: Estimate
    types: tuple[str, str]  # of weights and cache, for colours

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by part."""
        taken = self.taken
        return {
            "weights": taken.weights_bytes,
            "KV cache": taken.kv_cache_bytes,
            "buffers": taken.compute_bytes + taken.overhead_bytes,
        }

    @property
    def total_bytes(self) -> int:
        """Bytes of all parts."""
        return self.taken.total_bytes

    def fits(self, machine: Machine) -> str:
        """Say in a word whether it fits a machine."""
        try:
            return words.VERDICTS[how_it_fits(self.taken, machine)]
        except ValueError:
            return "cannot run there"


def as_text(name: str, setup: Setup) -> str:
    """Write a set-up in one line.

    >>> as_text("Llama-3.1-8B", Setup())
    'Llama-3.1-8B Q4_K_M 4096 1 F16 F16 none 0 2048 512 True 0.9'
    """
    values = [str(getattr(setup, field)).replace(" ", "+") for field in _READ]
    return " ".join([name.replace(" ", "+"), *values])


def from_text(text: str) -> tuple[str, Setup]:
    """Read it back; ValueError for anything else.

    >>> from_text("Llama-3.1-8B Q4_K_M 4096 1 F16 F16 none 0 2048 512 False 0.9")[1].flash_attention
    False
    """
    name, *values = text.split()
    try:
        pairs = zip(_READ.items(), values, strict=True)
        given = {field: read(value.replace("+", " ")) for (field, read), value in pairs}
    except (ValueError, KeyError):
        raise ValueError(f"{text[:60]!r} is not a set-up") from None
    return name.replace("+", " "), Setup(**given)


def choose(model: FoundModel, taken: Estimate) -> list[KeptSetup]:
    """Draw the controls; return the present set-up and the kept ones that can be counted."""
    here = as_text(taken.shape.name, taken.setup)
    shapes = {**cache.known(), taken.shape.name: model.shape}
    asked = [*st.query_params.get_all(_KEY), *(st.session_state.get(_KEY) or [])]
    left, right = st.columns([1, 4], vertical_alignment="bottom")
    full = len(st.session_state.get(_KEY) or []) >= MOST
    why = f"{MOST} are kept already; remove one to make room." if full else ""
    left.button(
        "Keep this set-up", key="keep_this", on_click=_keep, args=(here,), disabled=bool(why),
        help=why or f"Up to {MOST} are kept for comparison while you change the choices above.",
    )  # fmt: skip
    chosen = right.multiselect(
        "Kept", list(dict.fromkeys(asked)), key=_KEY, accept_new_options=True,
        placeholder="none yet", help="Remove one to make room.", **controls.BOUND,
    )  # fmt: skip
    kept = [_of(here, taken)]
    for text in chosen[:MOST]:
        try:
            name, setup = from_text(text)
            if text != here and name in shapes:
                kept.append(_of(text, cache.estimated(shapes[name], setup)))
        except ValueError:
            continue  # nonsense in the address
    return kept


def _keep(text: str) -> None:
    st.session_state[_KEY] = list(dict.fromkeys([*(st.session_state.get(_KEY) or []), text]))


def _of(text: str, taken: Estimate) -> KeptSetup:
    setup = taken.setup
    many = f", {setup.sequences} sequences" if setup.sequences > 1 else ""
    under = "" if setup.runtime == "none" else f", {setup.runtime}"
    name = f"{taken.shape.name} {setup.type_name}, {setup.context // 1024:,} k{many}{under}"
    if (setup.key_type, setup.value_type) != ("F16", "F16"):
        kinds = dict.fromkeys([setup.key_type, setup.value_type])
        name += f", cache {' and '.join(kinds)}"
    if setup.shared_prefix:
        name += f", {setup.shared_prefix:,} shared"
    if setup.runtime == "llama.cpp":
        name += f", -ub {setup.ubatch}" * (setup.ubatch != 512)
        name += f", -b {setup.batch}" * (setup.batch != 2048)
        name += ", -fa off" * (not setup.flash_attention)
    return KeptSetup(name, taken, (taken.main_format, setup.key_type))
