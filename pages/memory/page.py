"""Page: what a model takes in memory, whether it fits, and what to do where it does not."""

from dataclasses import replace

import streamlit as st

from pages.memory import cache, charts, factors, words
from pages.memory import growth as memory_growth
from pages.memory import model as memory_model
from pages.memory import parts as memory_parts
from pages.memory import setup as memory_setup
from pages.shared import frame, look
from pages.shared.units import binary
from quantcore.memory import cache_terms, estimate
from quantcore.memory.fitting import lay_out
from quantcore.memory.rules_of_thumb import rules_of_thumb
from quantcore.memory.speed import speed_bound

frame.enter("memory")

style = look.current()

# ---- the question -------------------------------------------------------------------------------

st.title("Memory", anchor=False)
model = memory_model.choose()
shape = model.shape
for sentence in words.about_model(model):
    look.note(sentence)
machine = memory_setup.choose_machine()
setup = memory_setup.choose(model.stored is not None, shape.context_length)
each = setup.context // (setup.sequences if setup.runtime == "llama.cpp" else 1)
if each > shape.context_length:
    look.note(words.beyond(shape, each))

as_stored = setup.type_name == memory_setup.AS_STORED
if as_stored:
    found = estimate(shape, setup, model.stored)
    setup = replace(setup, type_name=found.main_format)  # for what is compared
else:
    found = cache.estimated(shape, setup)
placed = lay_out(found, machine)

# ---- does it fit? -------------------------------------------------------------------------------

st.space("small")
look.finding(
    words.verdict(found, machine, cache.says(shape, setup, machine)),
    words.how_to_read_devices(found),
    help="Weights, KV cache and buffers on each device, to the byte where a runtime is chosen that "
    "the lab knows to the byte: llama.cpp.",
)
loads = [load for load in placed.loads if load.used_bytes or load.capacity_bytes]
look.show(
    charts.by_device(loads, found.main_format, setup.key_type, style),
    key="memory_devices",
    alt=f"{shape.name} on {machine.name}: {'; '.join(placed.reasons)}.",
)
look.note(words.placed(placed))
st.markdown(words.speed(speed_bound(found, placed, machine)), help=words.SPEED_IS_A_BOUND)
advice = cache.advice(shape, setup, machine)
if advice.give_up:
    memory_parts.show_given_up(advice.give_up)

# ---- what would fit -----------------------------------------------------------------------------

st.space("medium")
where = "the GPUs" if machine.gpus else "memory"
look.finding(
    words.best(advice.best_type, advice.largest_context, setup, where), words.HOW_TO_READ_TABLE
)
memory_parts.show_table(shape, setup, machine, advice.best_type)

# ---- every term ---------------------------------------------------------------------------------

st.space("medium")
rules = rules_of_thumb(found)
one_token = estimate(shape, replace(setup, context=1, sequences=1, runtime="none", shared_prefix=0))
look.finding(
    words.heads(shape, found.kv_cache_bytes, rules, one_token.kv_cache_bytes),
    words.HOW_TO_READ_FACTORS,
    help="Grouped-query attention: several query heads read the same keys and values.",
)
if setup.runtime == "none" and setup.key_type == setup.value_type and not setup.shared_prefix:
    terms = cache_terms(shape, setup.context, setup.sequences, setup.key_type, setup.value_type)
    factors.show(
        factors.of_cache(terms, shape, setup.key_type, setup.sequences),
        binary(found.kv_cache_bytes),
    )
memory_parts.show_terms(found)

st.space("medium")
look.finding(words.thumb(rules), words.HOW_TO_READ_RULES)
memory_parts.show_rules(rules)

# ---- how it grows -------------------------------------------------------------------------------

st.space("medium")
memory_growth.show_growth(found, machine, style)

# ---- take it along ------------------------------------------------------------------------------

st.space("medium")
memory_parts.show_kept(model, found, machine, style)
st.space("medium")
look.finding(
    "The commands that run **exactly this**.",
    "File names and the model’s name are examples; all options follow the choices above.",
)
memory_parts.show_commands(found, placed, machine)
