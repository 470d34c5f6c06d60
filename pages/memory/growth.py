"""How the memory of the page Memory grows: with context, type, sequences and micro-batch."""

import streamlit as st

from pages.memory import cache, charts, words
from pages.memory.setup import CONTEXTS
from pages.shared import look
from pages.shared.palette import Look
from pages.shared.units import binary
from quantcore.memory import Estimate, Setup
from quantcore.memory.growth import compute_by_batch
from quantcore.memory.hardware import Machine

TYPES = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K", "IQ2_XXS")
CHECKPOINTS = ("FP8", "GPTQ", "AWQ", "NF4", "NVFP4")
SEQUENCES = [2**power for power in range(9)]
BATCHES = [2**power for power in range(5, 13)]


def show_growth(taken: Estimate, compared: Setup, machine: Machine, style: Look) -> None:
    """Draw the cache by context, all of it by type, the cache by sequences, the buffer by batch.

    `compared` is the estimate's set-up with a type that has a name, where a file has none.
    """
    _by_context(taken, compared.type_name, style)
    left, right = st.columns(2, gap="large")
    with left:
        _by_type(taken, compared, machine, style)
    with right:
        _by_sequences(taken, compared.type_name, machine, style)
    if compared.runtime == "llama.cpp":
        _by_batch(taken, style)


def _by_context(taken: Estimate, type_name: str, style: Look) -> None:
    shape, setup = taken.shape, taken.setup
    longest = max(setup.context, shape.context_length, 4096)
    reach = sorted({*(n for n in CONTEXTS if n <= longest), setup.context, longest})
    growth = cache.growth(taken, reach)
    at_longest = growth.cache_bytes[setup.key_type][-1]
    look.finding(
        words.crossing(
            growth.crossing_tokens, longest, type_name, at_longest / taken.weights_bytes
        ),
        words.how_to_read_growth(shape, bool(growth.misread_bytes)),
    )
    if min(min(sizes) for sizes in growth.cache_bytes.values()):
        look.show(
            charts.growth(
                growth.contexts,
                growth.cache_bytes,
                (type_name, taken.weights_bytes),
                (setup.context, taken.kv_cache_bytes),
                "tokens in the context",
                style,
                {words.misread(name): sizes for name, sizes in growth.misread_bytes.items()},
            ),
            key="memory_growth",
            alt=f"KV cache of {shape.name} by context in {', '.join(growth.cache_bytes)}; "
            f"{binary(taken.kv_cache_bytes)} at {setup.context:,} tokens.",
        )


def _by_type(taken: Estimate, setup: Setup, machine: Machine, style: Look) -> None:
    shape = taken.shape
    shown = CHECKPOINTS if setup.runtime == "vllm" else TYPES
    types = tuple(dict.fromkeys([*shown, setup.type_name]))
    table = cache.table(shape, setup, machine, types, (setup.context,))
    cells = {name: cell for (name, _), cell in table.items()}
    names = sorted(types, key=lambda name: -cells[name].weights_bytes)
    sizes = [cells[name].weights_bytes for name in names]
    rest, limit = taken.total_bytes - taken.weights_bytes, machine.gpu_memory_bytes
    totals = {name: size + rest for name, size in zip(names, sizes, strict=True)}
    n_fitting = sum(cell.whole for cell in cells.values())
    look.finding(
        words.types(names, totals, n_fitting, limit),
        "Coloured: weights. Grey: cache and buffers, the same for every type.",
    )
    look.show(
        charts.by_type(names, sizes, rest, setup.type_name, limit, style),
        key="memory_types",
        alt=f"Memory of {shape.name} by type; {setup.type_name} takes "
        f"{binary(totals[setup.type_name])}.",
    )


def _by_sequences(taken: Estimate, type_name: str, machine: Machine, style: Look) -> None:
    setup = taken.setup
    many = cache.many(taken, SEQUENCES)
    look.finding(
        words.users(
            SEQUENCES,
            [one.total_bytes for one in many],
            [cache.cell(one, machine).whole for one in many],
            machine.gpu_memory_bytes,
        ),
        "Sequences at once, each with the whole context; the ring marks your choice.",
    )
    caches = [one.kv_cache_bytes for one in many]
    if min(caches):
        look.show(
            charts.growth(
                SEQUENCES,
                {setup.key_type: caches},
                (type_name, taken.weights_bytes),
                (setup.sequences, taken.kv_cache_bytes),
                "sequences at once",
                style,
            ),
            key="memory_sequences",
            alt=f"KV cache of {taken.shape.name} by number of sequences.",
        )


def _by_batch(taken: Estimate, style: Look) -> None:
    by_flash = compute_by_batch(taken, BATCHES, cache.again)
    named = {words.flash_attention(flash): sizes for flash, sizes in by_flash.items()}
    now = min(taken.setup.batch, taken.setup.ubatch)
    look.finding(
        words.batches(BATCHES, named, now, taken.compute_bytes),
        "The compute buffer by micro-batch (`-ub`, with a batch of the same size), both on log "
        "scales.",
    )
    look.show(
        charts.buffer_by_batch(BATCHES, named, (now, taken.compute_bytes), style),
        key="memory_batch",
        alt=f"Compute buffer of {taken.shape.name} by micro-batch; {binary(taken.compute_bytes)} "
        f"at {now}.",
    )
