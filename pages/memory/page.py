"""Page: what a model takes in memory, whether it fits, and what to do where it does not."""

from dataclasses import replace

import streamlit as st

from pages.memory import cache, charts, factors, growth, parts, which_type, words
from pages.memory import model as models
from pages.memory import setup as setups
from pages.shared import definitions, look, saving
from pages.shared.palette import Look
from pages.shared.units import binary
from quantcore.memory import Estimate, FoundModel, Setup, cache_terms
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.factors import cache_products
from quantcore.memory.fit_table import Advice
from quantcore.memory.fitting import lay_out
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import Placement
from quantcore.memory.rules_of_thumb import rules_of_thumb
from quantcore.memory.speed import speed_bound


def main() -> None:
    """Draw the page; without a model only what asks for one."""
    style = look.current()
    definitions.head("Memory", words.PURPOSE, words.DEFINED)
    model = models.choose()
    if model is not None:
        show(model, style)


def show(model: FoundModel, style: Look) -> None:
    """Draw what a model takes and where it fits."""
    machine, asked = choose(model)
    saving.of(model.shape.name, asked.type_name)
    stored = model.stored if asked.type_name == AS_STORED else None
    taken = cache.estimated(model.shape, asked, stored)
    if why := taken.compute_estimated:
        look.note(f"An estimate: {why}.")
    # Where a file has no type, what is compared and worded has the type of most of its bytes.
    setup = replace(asked, type_name=taken.main_format) if stored else asked
    placed = lay_out(taken, machine)
    advice = cache.advice(model.shape, setup, machine, stored)
    show_verdict(taken, placed, machine, cache.says(model.shape, setup, machine, stored), style)
    if advice.give_up:
        parts.show_given_up(advice.give_up)
    st.space("medium")
    costs = models.costs(model)
    which_type.show(cache.recommended(model.shape, setup, machine, costs), machine, style)
    st.space("medium")
    show_what_fits(taken, setup, machine, advice)
    st.space("medium")
    show_cache(taken, setup)
    st.space("medium")
    growth.show_growth(taken, setup, machine, style)
    st.space("medium")
    parts.show_kept(model, taken, machine, style)
    st.space("medium")
    show_commands(taken, placed, machine)


def choose(model: FoundModel) -> tuple[Machine, Setup]:
    """Ask on what machine it is run, and how; say what is odd about it."""
    for sentence in words.about_model(model):
        look.note(sentence)
    places = setups.places()
    machine = setups.choose_machine(places)
    setup = setups.choose(places, model.stored is not None, model.shape.context_length)
    if setup.context_of_each > model.shape.context_length:
        look.note(words.beyond(model.shape, setup.context_of_each))
    return machine, setup


def show_verdict(
    taken: Estimate, placed: Placement, machine: Machine, says: str, style: Look
) -> None:
    """Draw what is on each device, and say whether it fits and how fast it is at best."""
    look.finding(
        words.verdict(taken, machine, says),
        words.how_to_read_devices(taken),
        help="Weights, KV cache and buffers on each device, to the byte where a runtime is chosen "
        "that the lab knows to the byte: llama.cpp.",
    )
    loads = [load for load in placed.loads if load.used_bytes or load.capacity_bytes]
    look.show(
        charts.by_device(loads, taken.main_format, taken.setup.key_type, style),
        key="memory_devices",
        alt=f"{taken.shape.name} on {machine.name}: {'; '.join(placed.reasons)}.",
    )
    look.note(words.placed(placed))
    look.say(words.speed(speed_bound(taken, placed, machine)), help=words.SPEED_IS_A_BOUND)


def show_what_fits(taken: Estimate, setup: Setup, machine: Machine, advice: Advice) -> None:
    """Say the best type and the longest context that fit; draw types by contexts."""
    where = "GPU memory" if machine.gpus else "memory"
    trained = taken.shape.context_length
    look.finding(
        words.best(advice.best_type, advice.largest_context, setup, where, trained),
        words.HOW_TO_READ_TABLE,
    )
    parts.show_table(taken.shape, setup, machine, advice.best_type)


def show_cache(taken: Estimate, setup: Setup) -> None:
    """Put the cache's numbers into its formula; list all terms, and rules of thumb."""
    shape, rules = taken.shape, rules_of_thumb(taken)
    look.finding(
        words.heads(shape, taken.kv_cache_bytes, rules, taken.kv_bytes_per_token),
        words.HOW_TO_READ_FACTORS,
        help="Grouped-query attention: several query heads read the same keys and values.",
    )
    if setup.runtime == "none" and setup.key_type == setup.value_type and not setup.shared_prefix:
        terms = cache_terms(shape, setup.context, setup.sequences, setup.key_type, setup.value_type)
        factors.show(cache_products(shape, terms, setup.key_type), binary(taken.kv_cache_bytes))
    parts.show_terms(taken)
    st.space("medium")
    look.finding(words.thumb(rules), words.HOW_TO_READ_RULES)
    parts.show_rules(rules)


def show_commands(taken: Estimate, placed: Placement, machine: Machine) -> None:
    """Give the commands that run the choice."""
    look.finding(*words.commands(taken.setup.runtime))
    parts.show_commands(taken, placed, machine)
