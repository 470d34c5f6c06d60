"""Whether a model fits a machine, and how far it goes there."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from quantcore.memory.estimate import Estimate, Setup, estimate, weights_in
from quantcore.memory.hardware import Machine
from quantcore.memory.layers import bytes_by_layer
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


def settles(taken: Estimate, machine: Machine) -> bool:
    """Whether all of an estimate fits where it is fast: `settled` of where it would lie, sooner."""
    return not beyond_gpus(taken, machine) and settled(lay_out(taken, machine), machine)


def beyond_gpus(taken: Estimate, machine: Machine) -> bool:
    """Whether the layers alone are too large for the GPUs, which is known without any buffer."""
    if not machine.gpus or taken.setup.runtime == "vllm":
        return False
    room = sum(machine.usable_bytes(gpu) for gpu in machine.gpus)
    return sum(piece.bytes for piece in bytes_by_layer(taken).all) > room


def largest_context(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> int:
    """Largest context, a multiple of 256, at which all fits; 0 if none does.

    It ends at what the model was made for, or where the set-up's own context does. Under llama.cpp
    it is that of all sequences together, as in the set-up.
    """
    stored = stored or weights_in(shape, setup.type_name, setup.runtime)  # once for all contexts
    most = max(max(shape.context_length * setup.sharing, setup.context) // STEP, 1)

    def fits(steps: int) -> bool:
        longer = replace(setup, context=steps * STEP, shared_prefix=0)
        return settles(estimate(shape, longer, stored), machine)

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
        return not settles(estimate(shape, replace(setup, type_name=name)), machine)

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
    return f"fits{_room(placement, setup, machine)}{_how_far(shape, setup, machine, stored)}"


def _room(placement: Placement, setup: Setup, machine: Machine) -> str:
    """Say what is left, and what of it does not lie where it is computed."""
    if setup.runtime == "vllm":  # it takes its share of the GPU, however little is needed
        return f": {placement.reasons[0]}"
    spare, system = placement.spare_bytes, placement.loads[-1]
    room = "" if spare is None else f" with {gib(spare)} to spare"
    apart = system.used_bytes - system.overhead_bytes
    return f"{room}, the embedding in system memory" if machine.gpus and apart else room


def _how_far(shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights) -> str:
    """Say up to which context it would fit too; nothing beyond what the model was made for."""
    if setup.context_of_each >= shape.context_length:
        return ""
    limit = _first_too_long(shape, setup, machine, stored)
    if limit is not None:
        return f"; at {limit:,} tokens it will not"
    each = " of each sequence" if setup.sequences > 1 else ""
    return f", also with all {shape.context_length:,} tokens{each} that the model was made for"


def _first_too_long(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights
) -> int | None:
    """Smallest doubling of the context that no longer fits, or all that the model was made for."""
    most = shape.context_length * setup.sharing
    contexts = [setup.context]
    while contexts[-1] < most:
        contexts.append(min(2 * contexts[-1], most))
    for context in contexts[1:]:
        longer = replace(setup, context=context, shared_prefix=0)
        if not settles(estimate(shape, longer, stored), machine):
            return context
    return None
