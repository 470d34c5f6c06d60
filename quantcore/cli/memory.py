"""The command `memory`: what a model takes, term by term, and whether it fits."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from quantcore.cli.output import print_json

if TYPE_CHECKING:
    from quantcore.memory import Estimate, FoundModel, Setup
    from quantcore.memory.hardware import Machine
    from quantcore.memory.placement import Placement
    from quantcore.which_type import Recommendation


def memory(options: argparse.Namespace) -> None:
    """Print weights, cache and buffers of a model under a set-up."""
    from quantcore.memory import Setup, estimate, find_shape
    from quantcore.memory.estimate_memory import AS_STORED
    from quantcore.memory.fitting import lay_out, settled
    from quantcore.model.shipped import shipped_folder

    model = find_shape(options.model or shipped_folder().name)
    as_stored = model.stored if options.type is None else None
    setup = Setup(
        type_name=options.type or (AS_STORED if as_stored else "Q4_K_M"),
        context=options.context,
        sequences=options.sequences,
        key_type=(options.cache_type_k or options.cache_type).upper(),
        value_type=(options.cache_type_v or options.cache_type).upper(),
        shared_prefix=options.shared_prefix,
        runtime=options.runtime,
        batch=options.batch,
        ubatch=options.ubatch,
        flash_attention=options.flash_attention == "on",
        utilization=options.gpu_memory_utilization,
    )
    taken = estimate(model.shape, setup, as_stored)
    machine = _machine(options.gpu_memory, options.system_memory)
    placed = None if machine is None else lay_out(taken, machine)
    best = None if machine is None else _recommended(model, setup, machine)
    notes = [*model.notes, *_warnings(taken)]
    if options.json:
        fits = None if placed is None or machine is None else settled(placed, machine)
        _print_as_json(taken, placed, fits, _as_json(best), notes)
    else:
        _print(taken, placed, notes)
        if best:
            print(f"{best.reason}\n{best.whose}")


def _recommended(
    model: "FoundModel", setup: "Setup", machine: "Machine"
) -> "Recommendation | None":
    from quantcore.which_type import costs_of, recommend  # which reads measurements

    return recommend(model.shape, setup, machine, costs_of(model))


def _as_json(best: "Recommendation | None") -> dict[str, object] | None:
    """Say which type to take, and why; None without a machine, or where no figures are known."""
    if best is None:
        return None
    return {
        "type": best.best.type if best.best else None,
        "reason": best.reason,
        "figures": best.whose,
        "types": [asdict(option) for option in best.options],
    }


def _machine(gpus: Sequence[str], system: str | None) -> "Machine | None":
    """Put GPUs and system memory of these sizes together; None where none was given."""
    from quantcore.memory.hardware import Device, machine, system_memory
    from quantcore.memory.sizes import parse_size

    cards = [
        Device(name=f"GPU {at} of {text.strip()}", memory_bytes=parse_size(text))
        for at, text in enumerate(gpus)
    ]
    beside = None if system is None else system_memory(system)
    return machine(cards, beside) if cards or beside else None


def _warnings(taken: "Estimate") -> list[str]:
    shape, setup = taken.shape, taken.setup
    whys = (taken.stored.estimated, taken.compute_estimated)
    said = [f"Estimated: {why}." for why in whys if why]
    if setup.context_of_each > shape.context_length:
        said.append(
            f"{setup.context_of_each:,} tokens are more than the {shape.context_length:,} that "
            f"{shape.name} was made for."
        )
    return said


def _print_as_json(
    taken: "Estimate",
    placed: "Placement | None",
    fits: bool | None,
    recommended: dict[str, object] | None,
    notes: list[str],
) -> None:
    print_json(
        {
            "model": taken.shape.name,
            "type": taken.setup.type_name,
            "context": taken.setup.context,
            "runtime": taken.setup.runtime,
            "weights_bytes": taken.weights_bytes,
            "weights_estimated": bool(taken.stored.estimated),
            "compute_estimated": bool(taken.compute_estimated),
            "bits_per_weight": taken.stored.bits_per_weight,
            "weights": taken.shape.n_weights,
            "active_weights": taken.shape.active_weights,
            "kv_cache_bytes": taken.kv_cache_bytes,
            "kv_bytes_per_token": taken.kv_bytes_per_token,
            "compute_bytes": taken.compute_bytes,
            "overhead_bytes": taken.overhead_bytes,
            "total_bytes": taken.total_bytes,
            "fits": fits,
            "layers_on_gpu": None if placed is None else placed.layers_on_gpu,
            "devices": [] if placed is None else [asdict(load) for load in placed.loads],
            "terms": [asdict(term) for term in taken.terms],
            "recommended": recommended,
            "notes": notes,
        }
    )


def _print(taken: "Estimate", placed: "Placement | None", notes: list[str]) -> None:
    from quantcore.memory.sizes import gib

    for term in taken.terms:
        print(f"{term.kind:<9}{term.name:<44}{gib(term.bytes):>12}  {term.formula}")
    print(
        f"\n{taken.shape.name}, {taken.setup.type_name} ({taken.stored.bits_per_weight:.4f} bits "
        f"per weight), {taken.setup.context:,} tokens: {gib(taken.total_bytes)} "
        f"({taken.total_bytes:,} bytes)"
    )
    for load in placed.loads if placed else ():
        if load.used_bytes:
            left = "" if load.free_bytes is None else f", {gib(load.free_bytes)} free"
            print(f"{load.name}: {load.n_layers} layers, {gib(load.used_bytes)}{left}")
    for reason in placed.reasons if placed else ():
        print(reason[:1].upper() + reason[1:] + ".")
    for note in notes:
        print(note)
