"""Whether a model fits a machine, how far it goes there, and what to give up first."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from quantcore.memory.estimate import Setup, estimate, weights_in
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import Placement, place_layers
from quantcore.memory.sizes import gib
from quantcore.memory.tensor_parallel import place_tensor_parallel
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.shape.model_shape import ModelShape

STEP = 256  # tokens: llama.cpp pads contexts to it
TYPES = tuple(name for name in FILE_TYPES if not name.startswith(("IQ", "TQ", "MXFP4", "F32")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sacrifice:
    """Something to give up, and what that saves."""

    what: str  # "keep the cache in Q8_0 instead of F16"
    setup: Setup  # with it
    saved_bytes: int  # of the GPUs' memory, or of system memory where there is no GPU
    enough: bool  # whether everything fits then


def place(shape: ModelShape, setup: Setup, machine: Machine) -> Placement:
    """Lay a model out on a machine, as the runtime would.

    Raises
    ------
    ValueError
        For a set-up that cannot be, or a machine that the runtime cannot use.
    """
    found = estimate(shape, setup)
    if setup.runtime == "vllm":
        return place_tensor_parallel(found, machine)
    return place_layers(found, machine)


def settled(placement: Placement, machine: Machine) -> bool:
    """Whether it all fits where it is fast: on the GPUs, if there are any."""
    return placement.fits and (placement.whole_on_gpu or not machine.gpus)


def largest_context(shape: ModelShape, setup: Setup, machine: Machine) -> int:
    """Largest context, a multiple of 256 up to the model's own, at which all fits; 0 if none does.

    Under llama.cpp it is that of all sequences together, as in the set-up.
    """
    together = setup.sequences if setup.runtime == "llama.cpp" else 1
    most = max(shape.context_length * together // STEP, 1)

    def fits(steps: int) -> bool:
        longer = replace(setup, context=steps * STEP, shared_prefix=0)
        return settled(place(shape, longer, machine), machine)

    if fits(most):
        return most * STEP
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * STEP


def best_type(
    shape: ModelShape, setup: Setup, machine: Machine, types: Sequence[str] = TYPES
) -> str | None:
    """Largest of some types with which all fits; None where none is small enough.

    By default the file types of llama.cpp that need no importance matrix.
    """
    by_size = sorted(types, key=lambda name: weights_in(shape, name).total_bytes)

    def too_large(name: str) -> bool:
        return not settled(place(shape, replace(setup, type_name=name), machine), machine)

    n_fitting = bisect_left(by_size, True, key=too_large)
    return by_size[n_fitting - 1] if n_fitting else None


def verdict(shape: ModelShape, setup: Setup, machine: Machine) -> str:
    """Say in a sentence whether it fits, and how far."""
    placement = place(shape, setup, machine)
    if not placement.fits:
        return f"does not fit: {'; '.join(placement.reasons[1:]) or placement.reasons[0]}"
    if not settled(placement, machine):
        return f"fits in part: {placement.reasons[0]}"
    spare = placement.spare_bytes
    room = f" with {gib(spare)} to spare" if spare is not None else ""
    limit = _first_too_long(shape, setup, machine)
    if limit is None:
        own = f"{shape.context_length:,} tokens that the model was made for"
        return f"fits{room}, also with all {own}"
    return f"fits{room}; at {limit:,} tokens it will not"


def _first_too_long(shape: ModelShape, setup: Setup, machine: Machine) -> int | None:
    """Smallest doubling of the context that no longer fits, within what the model was made for."""
    context = setup.context
    while (context := 2 * context) <= shape.context_length:
        longer = replace(setup, context=context, shared_prefix=0)
        if not settled(place(shape, longer, machine), machine):
            return context
    return None


def what_to_give_up(shape: ModelShape, setup: Setup, machine: Machine) -> tuple[Sacrifice, ...]:
    """Where it does not fit: what to try, each alone, what hurts least first.

    A cache in 8 bits, a shorter context, a smaller type, layers on the CPU. Empty where all fits.
    """
    placement = place(shape, setup, machine)
    if settled(placement, machine):
        return ()
    total = estimate(shape, setup).total_bytes
    found = [
        Sacrifice(
            what=what,
            setup=changed,
            saved_bytes=total - estimate(shape, changed).total_bytes,
            enough=settled(place(shape, changed, machine), machine),
        )
        for what, changed in _changes(shape, setup, machine)
    ]
    if machine.gpus and setup.runtime != "vllm":
        found.append(_offloaded(setup, placement))
    return tuple(one for one in found if one.saved_bytes > 0)


def _changes(shape: ModelShape, setup: Setup, machine: Machine) -> Iterator[tuple[str, Setup]]:
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
    context = largest_context(shape, setup, machine)
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
        what = f"leave the experts of {placement.experts_on_cpu} layers in system memory"
    else:
        what = f"leave {system.n_layers} of {placement.n_layers} layers in system memory"
    return Sacrifice(
        what=what,
        setup=setup,
        saved_bytes=system.weights_bytes + system.cache_bytes,
        enough=placement.fits,
    )
