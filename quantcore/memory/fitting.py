"""Whether a model fits a machine, and how far it goes there."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from quantcore.memory.estimate import Estimate, Setup, estimate, weights_in
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import Placement, place_layers
from quantcore.memory.sizes import gib
from quantcore.memory.tensor_parallel import place_tensor_parallel
from quantcore.memory.weights import StoredWeights
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.shape.model_shape import ModelShape

STEP = 256  # tokens: llama.cpp pads contexts to it
_GGUF = tuple(name for name in FILE_TYPES if not name.startswith(("IQ", "TQ", "MXFP4", "F32")))
TYPES = {  # to choose the best of: those that need no importance matrix, and checkpoints for GPUs
    "none": _GGUF,
    "llama.cpp": _GGUF,
    "vllm": ("BF16", "FP8_CHANNEL", "GPTQ_8BIT", "AWQ", "GPTQ_3BIT"),
}


def place(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> Placement:
    """Lay a model out on a machine, as the runtime would.

    Here and in the functions below `stored` are weights as they lie in a file, which count instead
    of the set-up's type.

    Raises
    ------
    ValueError
        For a set-up that cannot be, or a machine that the runtime cannot use.
    """
    return lay_out(estimate(shape, setup, stored), machine)


def lay_out(taken: Estimate, machine: Machine) -> Placement:
    """Lay an estimate out on a machine, as its runtime would; errors as `place`."""
    if taken.setup.runtime == "vllm":
        return place_tensor_parallel(taken, machine)
    return place_layers(taken, machine)


def settled(placement: Placement, machine: Machine) -> bool:
    """Whether it all fits where it is fast: on the GPUs, if there are any."""
    return placement.fits and (placement.whole_on_gpu or not machine.gpus)


def largest_context(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> int:
    """Largest context, a multiple of 256 up to the model's own, at which all fits; 0 if none does.

    Under llama.cpp it is that of all sequences together, as in the set-up.
    """
    stored = stored or weights_in(shape, setup.type_name, setup.runtime)  # once for all contexts
    together = setup.sequences if setup.runtime == "llama.cpp" else 1
    most = max(shape.context_length * together // STEP, 1)

    def fits(steps: int) -> bool:
        longer = replace(setup, context=steps * STEP, shared_prefix=0)
        return settled(place(shape, longer, machine, stored), machine)

    if fits(most):
        return most * STEP
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * STEP


def best_type(
    shape: ModelShape, setup: Setup, machine: Machine, types: Sequence[str] | None = None
) -> str | None:
    """Largest of some types, by default of `TYPES`, with which all fits; None if none does."""
    types = types or TYPES[setup.runtime]
    by_size = sorted(types, key=lambda name: weights_in(shape, name, setup.runtime).total_bytes)

    def too_large(name: str) -> bool:
        return not settled(place(shape, replace(setup, type_name=name), machine), machine)

    n_fitting = bisect_left(by_size, True, key=too_large)
    return by_size[n_fitting - 1] if n_fitting else None


def verdict(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> str:
    """Say in a sentence whether it fits, and how far."""
    stored = stored or weights_in(shape, setup.type_name, setup.runtime)
    placement = place(shape, setup, machine, stored)
    if not placement.fits:
        return f"does not fit: {'; '.join(placement.reasons[1:]) or placement.reasons[0]}"
    if not settled(placement, machine):
        return f"fits in part: {placement.reasons[0]}"
    spare = placement.spare_bytes
    room = f" with {gib(spare)} to spare" if spare is not None else ""
    limit = _first_too_long(shape, setup, machine, stored)
    if limit is None:
        own = f"{shape.context_length:,} tokens that the model was made for"
        return f"fits{room}, also with all {own}"
    return f"fits{room}; at {limit:,} tokens it will not"


def _first_too_long(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights
) -> int | None:
    """Smallest doubling of the context that no longer fits, within what the model was made for."""
    context = setup.context
    while (context := 2 * context) <= shape.context_length:
        longer = replace(setup, context=context, shared_prefix=0)
        if not settled(place(shape, longer, machine, stored), machine):
            return context
    return None
