"""The lower parts of the page Memory, one function each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape

import streamlit as st

from pages.memory import cache, charts, words
from pages.memory import kept as memory_kept
from pages.memory.growth import CHECKPOINTS, TYPES
from pages.memory.setup import CONTEXTS
from pages.shared import look, tables
from pages.shared.frame import sentence
from pages.shared.palette import Look, blend
from pages.shared.units import binary, opening
from quantcore.memory import Estimate, FoundModel, Setup
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.estimate_memory import AS_STORED
from quantcore.memory.examples import EXAMPLES
from quantcore.memory.flags import llama_server, ollama, vllm_serve
from quantcore.memory.giving_up import Sacrifice
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import Placement
from quantcore.memory.rules_of_thumb import RuleOfThumb
from quantcore.memory.tensor_parallel import reserve_on
from quantcore.shape import ModelShape


def show_given_up(sacrifices: Sequence[Sacrifice]) -> None:
    """List what to try where it does not fit, what hurts least first."""
    look.say("**What to give up first**, each on its own:")
    tables.show(
        [
            {"what": one.what, "saved_bytes": one.saved_bytes, "enough": one.enough}
            for one in sacrifices
        ],
        [
            tables.Column(key="what", title="change", text=True),
            tables.Column(key="saved_bytes", title="saves", show=binary),
            tables.Column(key="enough", title="is that enough?",
                          show=lambda enough: "yes" if enough else "no"),
        ],
        "memory_give_up",
        caption="What to give up first",
    )  # fmt: skip


def show_table(shape: ModelShape, setup: Setup, machine: Machine, best: str | None) -> None:
    """Draw the table of types by contexts, coloured by fit."""
    style = look.current()
    shown = CHECKPOINTS if setup.runtime == "vllm" else TYPES
    types = tuple(dict.fromkeys([*shown, *([best] if best else []), setup.type_name]))
    longest = max(shape.context_length, setup.context, 4096)
    contexts = tuple(n for n in CONTEXTS[2:] if n <= longest) or (CONTEXTS[2],)
    contexts = tuple(sorted({*contexts[-7:], setup.context}))
    cells = cache.table(shape, setup, machine, types, contexts)
    by_size = sorted(types, key=lambda name: -cells[name, contexts[0]].weights_bytes)
    tones = {
        "fits": blend(style.bits[8], style.page, 0.16),
        "just": blend(style.bits[8], style.page, 0.07),
        "in part": blend(style.bits[2], style.page, 0.16),
        "not": blend(style.bits[3], style.page, 0.34),
    }
    rows = []
    for name in by_size:
        row: dict = {"type": name}
        for context in contexts:
            cell = cells[name, context]
            row[str(context)] = f"{words.SIGNS[cell.fits]} {cell.total_bytes / 2**30:,.1f}"
            row[f"{context}_fits"] = cell.fits
            row[f"{context}_bytes"] = cell.total_bytes
        rows.append(row)
    columns = [tables.Column(key="type", title="GiB")]
    for place, context in enumerate(contexts):
        columns.append(
            tables.Column(
                key=str(context),
                title=f"{context // 1024:,} k" if context >= 1024 else str(context),
                fill=_fill(tones, f"{context}_fits"),
                wide=place < len(contexts) - 3,
            )
        )
    keys = ["type", *(f"{n}_{what}" for n in contexts for what in ("bytes", "fits"))]
    tables.show(
        rows,
        columns,
        "memory_table",
        caption=f"Memory of {shape.name} by type and context on {machine.name}",
        chosen=setup.type_name,
        csv_keys=keys,
    )


def _fill(tones: Mapping[str, str], key: str) -> Callable[[tables.Row], str]:
    return lambda row: tones[row[key]]


def show_terms(taken: Estimate) -> None:
    """Draw every term with its formula."""
    with st.expander(f"All {len(taken.terms)} terms, each with its formula"):
        tables.show(
            [
                {"term": term.name, "kind": term.kind, "bytes": term.bytes,
                 "formula": term.formula, "why": term.why}
                for term in taken.terms
            ],
            [
                tables.Column(key="term", title="term", text=True),
                tables.Column(key="bytes", title="size", show=binary),
                tables.Column(key="formula", title="formula", text=True),
                tables.Column(key="why", title="", text=True, wide=True),
            ],
            "memory_terms",
            caption=f"Terms of the memory of {taken.shape.name}",
            csv_keys=["term", "kind", "bytes", "formula", "why"],
        )  # fmt: skip


def show_rules(rules: Sequence[RuleOfThumb]) -> None:
    """Draw the rules of thumb and the exact figures, and the articles' examples."""
    tables.show(
        [
            {
                "rule": rule.name,
                "formula": rule.formula,
                "rule_bytes": rule.bytes,
                "exact_bytes": rule.exact_bytes,
                "factor": rule.factor,
                "why": rule.why,
                "source": rule.source,
            }
            for rule in rules
        ],
        [
            tables.Column(key="rule", title="rule", text=True),
            tables.Column(key="rule_bytes", title="says", show=binary),
            tables.Column(key="exact_bytes", title="exact", show=binary),
            tables.Column(key="factor", title="exact / rule", show=lambda f: f"{f:.2f}",
                          help="Above 1, the rule is too low."),
        ],
        "memory_rules",
        caption="Rules of thumb and the exact figures",
        csv_keys=["rule", "formula", "rule_bytes", "exact_bytes", "factor", "why", "source"],
    )  # fmt: skip
    reasons = "".join(
        f"<li><b>{escape(rule.name)}</b>: {escape(rule.formula)}. {escape(opening(rule.why))}.</li>"
        for rule in rules
    )
    with st.expander("Where each rule goes wrong here"):
        st.html(f'<ul style="margin:0;padding-left:1.1rem;line-height:1.6">{reasons}</ul>')
    look.say("The articles’ own examples, counted exactly:")
    with st.container(horizontal=True):
        for at, one in enumerate(EXAMPLES):
            st.button(
                one.name, key=f"example_{at}", help=f"They say: {one.said}.",
                on_click=_take, args=(at,),
            )  # fmt: skip


def _take(at: int) -> None:
    """Set the page to an article's example."""
    one = EXAMPLES[at]
    st.session_state.update(
        whose="Known model",
        known=one.model_id.split("/")[1],
        stored=one.setup.type_name,
        context=one.setup.context,
        sequences=one.setup.sequences,
        cache=one.setup.key_type,
        runtime=one.setup.runtime,
    )
    if one.machine:
        st.session_state.update(hardware=one.machine, cards=1)


def show_kept(model: FoundModel, taken: Estimate, machine: Machine, style: Look) -> None:
    """Draw the kept set-ups side by side, with the button that keeps this one."""
    kept = memory_kept.choose(model, taken)
    look.finding(
        words.compared([one.name for one in kept], [one.total_bytes for one in kept]),
        "This set-up and those that you kept; they are part of the link, so you can share them.",
    )
    if len(kept) < 2:
        return
    look.show(
        charts.kept_side_by_side(
            [one.name for one in kept],
            [one.parts for one in kept],
            [one.types for one in kept],
            style,
        ),
        key="memory_kept",
        alt="Kept set-ups: " + ", ".join(f"{o.name} {binary(o.total_bytes)}" for o in kept) + ".",
    )
    tables.show(
        [
            {"set-up": one.name, "total_bytes": one.total_bytes,
             "weights_bytes": one.parts["weights"], "cache_bytes": one.parts["KV cache"],
             "buffers_bytes": one.parts["buffers"], "verdict": one.fits(machine)}
            for one in kept
        ],
        [
            tables.Column(key="set-up", title="set-up", text=True),
            tables.Column(key="weights_bytes", title="weights", show=binary, wide=True),
            tables.Column(key="cache_bytes", title="cache", show=binary, wide=True),
            tables.Column(key="buffers_bytes", title="buffers", show=binary, wide=True),
            tables.Column(key="total_bytes", title="in all", show=binary),
            tables.Column(key="verdict", title=f"on {machine.name}", text=True),
        ],
        "memory_kept_table",
        caption="Kept set-ups side by side",
    )  # fmt: skip


def show_commands(taken: Estimate, placed: Placement, machine: Machine) -> None:
    """Draw the commands that realize the choice, or say why there is none."""
    setup, name = taken.setup, taken.shape.name
    kind = "" if setup.type_name == AS_STORED else f"-{setup.type_name.replace(' ', '-')}"
    file = f"{name}{kind}.gguf"
    counted = reserve_on(taken, machine) if setup.runtime == "vllm" else None
    # A checkpoint of 16 bits is the model itself, others are named by what they are in.
    checkpoint = name + kind * (setup.type_name.upper() in DEPLOYED)
    typed = replace(setup, type_name=taken.main_format) if not kind else setup
    commands: list[tuple[str, Callable[[], str]]] = [
        ("llama.cpp", lambda: llama_server(file, setup, placed)),
        ("Ollama", lambda: "\n\n".join(ollama(file, setup, placed))),
        ("vLLM", lambda: vllm_serve(checkpoint, typed, max(1, len(machine.gpus)), counted)),
    ]
    if setup.runtime == "vllm":
        commands.reverse()
    for title, write in commands:
        look.say(f"**{title}**")
        try:
            look.commands(write())
        except ValueError as problem:
            look.note(sentence(problem))
