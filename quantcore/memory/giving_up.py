"""What to give up first where a model does not fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from quantcore.memory.estimate import Setup, estimate
from quantcore.memory.fitting import best_type, largest_context, lay_out, settled, settles
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import Placement
from quantcore.memory.weights import StoredWeights
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Sacrifice:
    """Something to give up, and what that saves."""

    what: str  # "keep the cache in Q8_0 instead of F16"
    setup: Setup  # with it
    saved_bytes: int  # of the GPUs' memory, or of system memory where there is no GPU
    enough: bool  # whether everything fits then


def what_to_give_up(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> tuple[Sacrifice, ...]:
    """Where it does not fit: what to try, each alone, what hurts least first.

    A cache in 8 bits, a shorter context, a smaller type, layers on the CPU. Empty where all fits.
    """
    now = estimate(shape, setup, stored)
    placement = lay_out(now, machine)
    if settled(placement, machine):
        return ()
    sacrifices = []
    for what, changed in _changes(shape, setup, machine, stored):
        same_type = changed.type_name == setup.type_name
        then = estimate(shape, changed, stored if same_type else None)
        sacrifices.append(
            Sacrifice(
                what=what,
                setup=changed,
                saved_bytes=now.total_bytes - then.total_bytes,
                enough=settles(then, machine),
            )
        )
    if machine.gpus and setup.runtime != "vllm":
        sacrifices.append(_offloaded(setup, placement))
    return tuple(one for one in sacrifices if one.saved_bytes > 0)


def _changes(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None
) -> Iterator[tuple[str, Setup]]:
    small = "FP8" if setup.runtime == "vllm" else "Q8_0"
    if setup.key_type.upper() in ("F32", "F16", "BF16") and shape.head_size % 32 == 0:
        # llama.cpp keeps quantized values only with flash attention.
        both = setup.flash_attention or setup.runtime != "llama.cpp"
        value_type = small if both else setup.value_type
        what = "cache" if both else "keys of the cache"
        yield (
            f"keep the {what} in {small} instead of {setup.key_type}",
            replace(setup, key_type=small, value_type=value_type),
        )
    context = largest_context(shape, setup, machine, stored)
    if 0 < context < setup.context:
        changed = replace(setup, context=context, shared_prefix=0)
        yield f"read {context:,} tokens instead of {setup.context:,}", changed
    smaller = best_type(shape, setup, machine)
    if smaller and smaller != setup.type_name:
        changed = replace(setup, type_name=smaller)
        yield f"store the weights in {smaller} instead of {setup.type_name}", changed


def _offloaded(setup: Setup, placement: Placement) -> Sacrifice:
    system = placement.loads[-1]
    if placement.experts_on_cpu and placement.layers_on_gpu == placement.n_layers:
        n = placement.experts_on_cpu
        what = f"leave the experts of {n} {'layer' if n == 1 else 'layers'} in system memory"
    else:
        what = f"leave {system.n_layers} of {placement.n_layers} layers in system memory"
    return Sacrifice(
        what=what,
        setup=setup,
        saved_bytes=system.weights_bytes + system.cache_bytes,
        enough=placement.fits,
    )
