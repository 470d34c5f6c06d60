"""How the model of the page Memory is to be run, and on what."""

from contextlib import suppress
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.memory import cache
from pages.shared import controls, model_types
from quantcore.memory import CACHE_FORMATS, RUNTIMES, Setup
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.estimate import Runtime
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.hardware import Machine, card, gpus, machine, macs, system_memory, systems
from quantcore.memory.this_machine import HERE
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.types import get_type

CONTEXTS = [2**power for power in range(9, 21)]
USUAL_CONTEXT = 32_768
LONGEST = 2**24  # ten million tokens are the most that a known model was made for
NONE = "no GPU"


class Places(NamedTuple):
    """Where the controls stand: one row, with what is rarely changed folded away at its end."""

    runtime: DeltaGenerator
    hardware: DeltaGenerator
    weights: DeltaGenerator
    context: DeltaGenerator
    more: DeltaGenerator


def places() -> Places:
    """Lay out the row of controls."""
    row = st.columns([2.2, 2, 1.6, 2, 1.2], vertical_alignment="bottom")
    more = row[4].popover("More choices", help="Cards, system memory, cache, sequences, batches.")
    return Places(row[0], row[1], row[2], row[3], more)


def choose_type(has_file: bool) -> str:
    """Ask for the weights' type; ValueError where the name is unknown."""
    start = AS_STORED if has_file else _elsewhere()
    options = list(
        dict.fromkeys([*([AS_STORED] if has_file else []), *FILE_TYPES, *DEPLOYED, start])
    )
    chosen = st.selectbox(
        "Weights in",
        options,
        options.index(start),
        key="stored",
        accept_new_options=True,
        help="llama-quantize’s mixes, then the types of checkpoints for GPUs: GPTQ, AWQ, NF4, FP8 "
        "and others, with their scales and what stays in 16 bits. Others can be typed in: "
        "`Q4_K pure`, `INT4_G64`.",
        **controls.BOUND,
    )
    if chosen == AS_STORED and has_file:
        return chosen
    return chosen.upper() if chosen.upper() in DEPLOYED else get_type(chosen).name


def _contexts(trained: int) -> list[int]:
    """Powers of two, what the model was made for, and what the address or an example asks for."""
    asked = [*st.query_params.get_all("context"), str(st.session_state.get("context", ""))]
    more = [int(text) for text in asked if text.isascii() and text.isdigit()]
    return sorted({*CONTEXTS, *(n for n in (trained, *more) if 1 <= n <= LONGEST)})


def _elsewhere() -> str:
    """Name the type that another page chose, or the usual one."""
    pure = st.session_state.get("way") == model_types.PURE
    with suppress(ValueError):
        return get_type(st.session_state.get("type", "Q4_K_M"), pure).name
    return "Q4_K_M"


def choose(at: Places, has_file: bool, trained: int) -> Setup:
    """Ask for everything that a set-up has; ValueError where it cannot be.

    `trained` is the context that the model was made for.
    """
    with at.weights:
        type_name = choose_type(has_file)
    start = min(USUAL_CONTEXT, trained)
    controls.follow_default("context", start)
    context = at.context.select_slider(
        "Context, tokens", _contexts(trained), start, key="context", **controls.BOUND,
        help="Prompt and answer of each sequence together; in llama.cpp all sequences share it.",
    )  # fmt: skip
    row = at.more.container(horizontal=True, vertical_alignment="bottom")
    bound: dict[str, Any] = {"width": 170, **controls.BOUND}
    kept = row.selectbox(
        "Cache in", CACHE_FORMATS, CACHE_FORMATS.index("F16"), key="cache", **bound,
        help="Keys and values can be quantized too: `-ctk` and `-ctv`; FP8 is vLLM’s.",
    )  # fmt: skip
    sequences = row.number_input(
        "Sequences at once", 1, 256, 1, key="sequences", help="Users served at the same time.",
        **bound,
    )  # fmt: skip
    runtime: Runtime = st.session_state.get("runtime") or "none"
    same = f"as the keys ({kept})"
    values = row.selectbox(
        "Values in", [same, *CACHE_FORMATS], key="values", help="`-ctv`", **bound
    )
    batch = row.number_input(
        "Batch", 1, 65_536, 2048, key="batch", help="llama.cpp’s `-b`.", **bound
    )
    ubatch = row.number_input(
        "Micro-batch", 1, 65_536, 512, key="ubatch", **bound,
        help="llama.cpp’s `-ub`: tokens worked on at a time. The compute buffer grows with it.",
    )  # fmt: skip
    why = "llama.cpp keeps the prefix for each sequence." if runtime == "llama.cpp" else ""
    prefix = row.number_input(
        "Shared prefix", 0, 1 << 20, 0, key="prefix", disabled=bool(why), **bound,
        help=why or "Tokens that all sequences begin with; they are kept only once.",
    )  # fmt: skip
    flash = row.toggle(
        "Flash attention", True, key="flash", **controls.BOUND,
        help="llama.cpp’s `-fa`. Without it, attention scores fill the compute buffer.",
    )  # fmt: skip
    why = "" if runtime == "vllm" else "Only vLLM reserves a share of each GPU."
    share = row.number_input(
        "GPU memory utilization", 0.05, 1.0, 0.9, 0.01, key="share", disabled=bool(why),
        help=why or "vLLM’s `gpu_memory_utilization`: what it takes of each GPU.", **bound,
    )  # fmt: skip
    return Setup(
        type_name=type_name,
        context=context,
        sequences=sequences,
        key_type=kept,
        value_type=kept if values == same or values is None else values,
        shared_prefix=0 if runtime == "llama.cpp" else min(prefix, context),
        runtime=runtime,
        batch=batch,
        ubatch=ubatch,
        flash_attention=flash,
        utilization=share,
    )


def _choose_runtime() -> None:
    st.segmented_control(
        "Runtime", RUNTIMES, default="none", required=True, key="runtime", **controls.BOUND,
        help="none: what the model itself needs. llama.cpp: cache and compute buffer as it "
        "allocates them, layers on GPU and CPU. vLLM: what it reserves on each GPU.",
    )  # fmt: skip


def choose_machine(at: Places) -> Machine:
    """Ask for runtime and hardware; ValueError where a size cannot be read."""
    with at.runtime:
        _choose_runtime()
    cards = [*gpus(), *macs(), NONE, HERE]
    name = at.hardware.selectbox(
        "Hardware", cards, cards.index("RTX 3060 12 GB"), key="hardware", accept_new_options=True,
        help="Cards, Macs with unified memory, or a size such as `20GiB`. A card sold with 24 GB "
        "has 24 GiB, less what the driver keeps.", **controls.BOUND,
    )  # fmt: skip
    alone = name in (HERE, NONE) or name in macs()
    row = at.more.container(horizontal=True, vertical_alignment="bottom")
    bound: dict[str, Any] = {"width": 170, **controls.BOUND}
    why = "There can be several cards, but only one of this." if alone else ""
    count = row.number_input(
        "How many", 1, 16, 1, key="cards", disabled=bool(why), help=why or "Cards of this kind.",
        **bound,
    )  # fmt: skip
    memories = list(systems())
    own = name == HERE or name in macs()
    why = f"The memory of {name} is known." if own else ""
    memory = row.selectbox(
        "System memory", memories, memories.index("32 GB DDR5-5600"), key="system",
        disabled=bool(why), accept_new_options=True,
        help=why or "What does not fit on the cards stays here.", **bound,
    )  # fmt: skip
    if name == HERE:
        return cache.at_hand()
    if name in macs():
        return macs()[name]
    return machine([] if name == NONE else [card(name)] * count, system_memory(memory))
