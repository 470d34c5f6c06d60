"""How the memory of the page Memory grows: with context, type, sequences and micro-batch."""

from dataclasses import replace

import streamlit as st

from pages.memory import cache, charts, words
from pages.memory.setup import CONTEXTS
from pages.shared import look
from pages.shared.palette import Look
from pages.shared.units import binary
from quantcore.memory import Estimate, tokens_that_fill
from quantcore.memory.hardware import Machine
from quantcore.memory.rules_of_thumb import rules_of_thumb

TYPES = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K", "IQ2_XXS")
CHECKPOINTS = ("FP8", "GPTQ", "AWQ", "NF4", "NVFP4")
SEQUENCES = [2**power for power in range(9)]


def show_growth(found: Estimate, machine: Machine, style: Look) -> None:
    """Draw the cache by context, all of it by type, and the cache by sequences."""
    shape, setup = found.shape, found.setup
    limit = sum(machine.usable_bytes(gpu) for gpu in machine.gpus) or None
    longest = max(setup.context, shape.context_length, 4096)
    reach = sorted({*(n for n in CONTEXTS if n <= longest), setup.context, longest})
    there = {n: cache.estimated(shape, replace(setup, context=n, shared_prefix=0)) for n in reach}
    kinds = [kind for kind in dict.fromkeys([setup.key_type, "F16", "Q8_0", "Q4_0"])
             if shape.head_size % 32 == 0 or kind in (setup.key_type, "F16")]  # fmt: skip
    curves = {kind: [_cache_bytes(found, kind, context=n) for n in reach] for kind in kinds}
    dashed: dict[str, list[int]] = {}
    for one in there.values():
        for rule in rules_of_thumb(one):
            if rule.exact_what == "cache" and rule.name.startswith("2 ×"):
                dashed.setdefault(rule.name, []).append(rule.bytes)
    actual = curves[setup.key_type]
    dashed = {words.misread(name): sizes for name, sizes in dashed.items()
              if actual[-1] and sizes[-1] > 1.05 * actual[-1]}  # fmt: skip
    crossing = tokens_that_fill(
        shape, found.weights_bytes, setup.sequences, setup.key_type, setup.value_type
    )
    look.finding(
        words.crossing(crossing, reach[-1], setup.type_name, actual[-1] / found.weights_bytes),
        words.how_to_read_growth(shape, bool(dashed)),
    )
    if min(min(sizes) for sizes in curves.values()):
        look.show(
            charts.growth(
                reach,
                curves,
                (setup.type_name, found.weights_bytes),
                (setup.context, found.kv_cache_bytes),
                "tokens in the context",
                style,
                dashed,
            ),
            key="memory_growth",
            alt=f"KV cache of {shape.name} by context in {', '.join(kinds)}; "
            f"{binary(found.kv_cache_bytes)} at {setup.context:,} tokens.",
        )
    left, right = st.columns(2, gap="large")
    with left:
        _by_type(found, machine, limit, style)
    with right:
        _by_sequences(found, machine, limit, style)
    if setup.runtime == "llama.cpp":
        _by_batch(found, style)


def _cache_bytes(found: Estimate, kind: str, **changes) -> int:
    """Bytes of the cache in another type, as the runtime keeps it."""
    setup = found.setup
    kinds = {} if kind == setup.key_type else {"key_type": kind, "value_type": kind}
    wanted = replace(setup, shared_prefix=0, **kinds, **changes)
    if not wanted.flash_attention and wanted.value_type not in ("F32", "F16", "BF16"):
        wanted = replace(wanted, flash_attention=True)
    try:
        return cache.estimated(found.shape, wanted).kv_cache_bytes
    except ValueError:  # vLLM has no such cache
        wanted = replace(wanted, runtime="none")
        return cache.estimated(found.shape, wanted).kv_cache_bytes


def _by_type(found: Estimate, machine: Machine, limit: int | None, style: Look) -> None:
    shape, setup = found.shape, found.setup
    names = [*(CHECKPOINTS if setup.runtime == "vllm" else TYPES)]
    if setup.type_name not in names:
        names.append(setup.type_name)
    sizes = {name: cache.stored(shape, name, setup.runtime).total_bytes for name in names}
    names.sort(key=lambda name: -sizes[name])
    rest = found.total_bytes - found.weights_bytes
    totals = {name: sizes[name] + rest for name in names}
    cells = cache.table(shape, setup, machine, tuple(names), (setup.context,)).values()
    look.finding(
        words.types(names, totals, sum(cell.whole for cell in cells), limit),
        "Coloured: weights. Grey: cache and buffers, the same.",
    )
    look.show(
        charts.by_type(names, [sizes[n] for n in names], rest, setup.type_name, limit, style),
        key="memory_types",
        alt=f"Memory of {shape.name} by type; {setup.type_name} takes "
        f"{binary(totals[setup.type_name])}.",
    )


def _by_sequences(found: Estimate, machine: Machine, limit: int | None, style: Look) -> None:
    setup = found.setup
    own = setup.context
    many = {"context": own, "shared_prefix": 0}

    def at(n: int) -> Estimate:
        # Under llama.cpp all share the context: here each keeps its own.
        more = {"context": own * n} if setup.runtime == "llama.cpp" else many
        return cache.estimated(found.shape, replace(setup, sequences=n, **more))

    ests = [at(n) for n in SEQUENCES]
    look.finding(
        words.users(
            SEQUENCES,
            [one.total_bytes for one in ests],
            [cache.cell(one.shape, one.setup, machine).whole for one in ests],
            limit,
        ),
        "Sequences at once, each with the whole context; the ring is your choice.",
    )
    caches = [one.kv_cache_bytes for one in ests]
    if min(caches):
        look.show(
            charts.growth(
                SEQUENCES,
                {setup.key_type: caches},
                (setup.type_name, found.weights_bytes),
                (setup.sequences, found.kv_cache_bytes),
                "sequences at once",
                style,
            ),
            key="memory_sequences",
            alt=f"KV cache of {found.shape.name} by number of sequences.",
        )


def _by_batch(found: Estimate, style: Look) -> None:
    setup = found.setup
    at = [2**power for power in range(5, 13)]
    with_and_without = {}
    for name, flash in (("flash attention", True), ("without it", False)):
        if not flash and setup.value_type not in ("F32", "F16", "BF16"):
            continue  # llama.cpp keeps quantized values with flash attention only
        many = (replace(setup, batch=n, ubatch=n, flash_attention=flash) for n in at)
        with_and_without[name] = [cache.estimated(found.shape, each).compute_bytes for each in many]
    now = min(setup.batch, setup.ubatch)
    look.finding(
        words.batches(at, with_and_without, now, found.compute_bytes),
        "The compute buffer by micro-batch (`-ub`, with a batch as large); both on log scales.",
    )
    look.show(
        charts.buffer_by_batch(at, with_and_without, (now, found.compute_bytes), style),
        key="memory_batch",
        alt=f"Compute buffer of {found.shape.name} by micro-batch; {binary(found.compute_bytes)} "
        f"at {now}.",
    )
