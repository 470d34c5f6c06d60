"""What the page Memory keeps: estimates, and how they fit; keyed on all that they depend on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import streamlit as st

from pages.shared import bench
from quantcore.memory import (
    Estimate,
    FoundModel,
    Setup,
    StoredWeights,
    estimate,
    find_shape,
    fit_table,
    fitting,
    in_type,
    weights_in,
)
from quantcore.memory.estimate import Runtime
from quantcore.memory.fit_table import Advice, Cell
from quantcore.memory.growth import CacheGrowth, cache_growth, with_sequences
from quantcore.memory.hardware import Machine
from quantcore.memory.this_machine import this_machine
from quantcore.shape import ModelShape, preset, preset_ids
from quantcore.which_type import KnownCosts, Recommendation, costs_of, recommend


def _hash_of_shape(shape: ModelShape) -> int:
    """Python's own hash of every field: Streamlit's takes milliseconds for hundreds of tensors."""
    values = (getattr(shape, field.name) for field in fields(shape))
    return hash(tuple(tuple(v.items()) if isinstance(v, Mapping) else v for v in values))


def _hash_of_estimate(taken: Estimate) -> int:
    return hash((_hash_of_shape(taken.shape), taken.setup, taken.stored))


def _hash_of_model(model: FoundModel) -> int:
    return hash((_hash_of_shape(model.shape), model.shipped))


_HASHED: dict[str | type[Any], Callable[[Any], Any]] = {
    FoundModel: _hash_of_model,
    ModelShape: _hash_of_shape,
    StoredWeights: hash,
    Estimate: _hash_of_estimate,
}


@st.cache_resource(max_entries=512, show_spinner=False, hash_funcs=_HASHED)
def _stored(shape: ModelShape, type_name: str, runtime: Runtime) -> StoredWeights:
    return weights_in(shape, type_name, runtime)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=_HASHED)
def _in_f16(shape: ModelShape, setup: Setup) -> Estimate:
    """Cache and buffers do not depend on the weights' type: they are counted once for all."""
    return estimate(shape, setup, _stored(shape, setup.type_name, setup.runtime))


def estimated(shape: ModelShape, setup: Setup, stored: StoredWeights | None = None) -> Estimate:
    """Estimate a set-up, of weights as they lie in a file or else in the set-up's type."""
    stored = stored or _stored(shape, setup.type_name, setup.runtime)
    return in_type(_in_f16(shape, replace(setup, type_name="F16")), setup.type_name, stored)


def again(taken: Estimate, setup: Setup) -> Estimate:
    """Estimate another set-up with the same weights."""
    return estimated(taken.shape, setup, taken.stored)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=_HASHED)
def growth(taken: Estimate, contexts: Sequence[int]) -> CacheGrowth:
    """Follow the cache over contexts."""
    return cache_growth(taken, contexts, again)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=_HASHED)
def many(taken: Estimate, counts: Sequence[int]) -> list[Estimate]:
    """Estimate so many sequences at once."""
    return with_sequences(taken, counts, again)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=_HASHED)
def says(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> str:
    """Say in a sentence whether it fits, and how far."""
    return fitting.verdict(shape, setup, machine, stored)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=_HASHED)
def advice(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> Advice:
    """Look for what would fit."""
    return fit_table.advise(shape, setup, machine, stored)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_HASHED)
def recommended(
    shape: ModelShape, setup: Setup, machine: Machine, costs: KnownCosts
) -> Recommendation | None:
    """Choose a type for the machine; None where nothing is known of the types' costs."""
    return recommend(shape, setup, machine, costs, estimated)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_HASHED)
def costs(model: FoundModel) -> KnownCosts:
    """Find what types cost: of a model that the lab ships, or as published of a large one."""
    return costs_of(model)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=_HASHED)
def table(
    shape: ModelShape,
    setup: Setup,
    machine: Machine,
    types: Sequence[str],
    contexts: Sequence[int],
) -> dict[tuple[str, int], Cell]:
    """Say of each type and context how well it fits."""
    return fit_table.fit_table(shape, setup, machine, types, contexts, estimated)


@st.cache_data(max_entries=512, show_spinner=False, hash_funcs=_HASHED)
def cell(taken: Estimate, machine: Machine) -> Cell:
    """Say of one estimate how well it fits."""
    return fit_table.cell_of(taken, machine)


@st.cache_data(show_spinner=False, ttl=600)
def at_hand() -> Machine:
    """Return the machine that the lab runs on."""
    return this_machine()


@st.cache_resource(show_spinner=False)
def known() -> dict[str, ModelShape]:
    """Return known models by name, smallest first."""
    return {preset(model_id).name: preset(model_id) for model_id in preset_ids()}


@bench.per_model(st.cache_resource, max_entries=16)
def on_bench(model_name: str) -> FoundModel:
    """Look up the sizes of a model that can be put on the bench."""
    return find_shape(bench.model(model_name).address)
