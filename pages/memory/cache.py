"""Cached calls of the memory calculator; shapes are told apart by their tensors and caches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from quantcore.memory import (
    Estimate,
    FoundModel,
    Setup,
    StoredWeights,
    estimate,
    find_shape,
    fitting,
    in_type,
    weights_in,
)
from quantcore.memory.fitting import lay_out, settled
from quantcore.memory.giving_up import Sacrifice, what_to_give_up
from quantcore.memory.hardware import Machine
from quantcore.memory.this_machine import this_machine
from quantcore.shape import ModelShape, preset, preset_ids


def _told_apart(shape: ModelShape) -> int:
    """Python's own hash: Streamlit's takes milliseconds for hundreds of tensors."""
    return hash((shape.name, shape.architecture, shape.caches, *shape.tensors.items()))


_HASHED = {"show_spinner": False, "hash_funcs": {ModelShape: _told_apart}}


@dataclass(frozen=True, slots=True)
class Cell:
    """One type at one context."""

    total_bytes: int
    fits: str  # "fits", "just", "in part" or "not"

    @property
    def whole(self) -> bool:
        """Whether it fits where it is fast."""
        return self.fits in ("fits", "just")


@dataclass(frozen=True, slots=True)
class Advice:
    """What would fit, and what to give up where it does not."""

    best_type: str | None
    largest_context: int
    give_up: tuple[Sacrifice, ...]


@st.cache_resource(max_entries=512, **_HASHED)
def stored(shape: ModelShape, type_name: str, runtime: str = "none") -> StoredWeights:
    """Bytes of a model's weights in a type, from its sizes alone."""
    return weights_in(shape, type_name, runtime)


@st.cache_resource(max_entries=256, **_HASHED)
def _in_any_type(shape: ModelShape, setup: Setup) -> Estimate:
    return estimate(shape, setup, stored(shape, setup.type_name, setup.runtime))


def estimated(shape: ModelShape, setup: Setup) -> Estimate:
    """Estimate a set-up; cache and buffers, which do not depend on the type, only once."""
    found = _in_any_type(shape, replace(setup, type_name="F16"))
    return in_type(found, setup.type_name, stored(shape, setup.type_name, setup.runtime))


@st.cache_data(max_entries=256, **_HASHED)
def says(shape: ModelShape, setup: Setup, machine: Machine) -> str:
    """Say in a sentence whether it fits, and how far."""
    return fitting.verdict(shape, setup, machine)


@st.cache_data(max_entries=256, **_HASHED)
def advice(shape: ModelShape, setup: Setup, machine: Machine) -> Advice:
    """Look for what would fit."""
    return Advice(
        fitting.best_type(shape, setup, machine),
        fitting.largest_context(shape, setup, machine),
        what_to_give_up(shape, setup, machine),
    )


@st.cache_data(max_entries=64, **_HASHED)
def table(
    shape: ModelShape,
    setup: Setup,
    machine: Machine,
    types: Sequence[str],
    contexts: Sequence[int],
) -> dict[tuple[str, int], Cell]:
    """Say of each type and context whether it fits."""
    found = {}
    for context in contexts:
        there = replace(setup, context=context, shared_prefix=0)
        for name in types:
            one = estimated(shape, replace(there, type_name=name))
            found[name, context] = Cell(one.total_bytes, _fits(one, machine))
    return found


@st.cache_data(max_entries=512, **_HASHED)
def cell(shape: ModelShape, setup: Setup, machine: Machine) -> Cell:
    """Say of one set-up whether it fits."""
    found = estimated(shape, setup)
    return Cell(found.total_bytes, _fits(found, machine))


def _fits(found: Estimate, machine: Machine) -> str:
    placed = lay_out(found, machine)
    if not placed.fits:
        return "not"
    if not settled(placed, machine):
        return "in part"
    spare = placed.spare_bytes
    largest = max(load.capacity_bytes or 0 for load in placed.loads)
    return "just" if spare is not None and spare < 0.05 * largest else "fits"


@st.cache_data(show_spinner=False, ttl=600)
def at_hand() -> Machine:
    """Return the machine that the lab runs on."""
    return this_machine()


@st.cache_resource(show_spinner=False)
def known() -> dict[str, ModelShape]:
    """Return known models by name, smallest first."""
    return {preset(model_id).name: preset(model_id) for model_id in preset_ids()}


@st.cache_resource(show_spinner=False, max_entries=16)
def in_files(place: str) -> FoundModel:
    """Look up a model of this machine by its folder or file."""
    return find_shape(place)
