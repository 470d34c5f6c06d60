"""Where a model lies under vLLM: a share of every layer on each of several equal GPUs."""

from quantcore.memory.estimate import Estimate
from quantcore.memory.hardware import Machine
from quantcore.memory.loads import DeviceLoad
from quantcore.memory.placement import Placement
from quantcore.memory.sizes import gib
from quantcore.memory.vllm import Reservation, reserve


def reserve_on(taken: Estimate, machine: Machine) -> Reservation:
    """Say what vLLM reserves on each GPU of a machine.

    Raises
    ------
    ValueError
        If there is no GPU, they are not equal, or they cannot share the heads.
    """
    if not machine.gpus or machine.unified:
        raise ValueError(
            "vLLM needs graphics cards with memory of their own: add one, or choose llama.cpp"
        )
    sizes = {gpu.memory_bytes for gpu in machine.gpus}
    if len(sizes) > 1:
        raise ValueError(
            "vLLM gives every GPU the same share of a model, and these have "
            f"{' and '.join(gib(size) for size in sorted(sizes))}: choose equal ones"
        )
    return reserve(taken, sizes.pop(), len(machine.gpus))


def place_tensor_parallel(taken: Estimate, machine: Machine) -> Placement:
    """Lay an estimate out as vLLM would: it fits if all sequences of the set-up have room at once.

    The cache of each GPU is all that vLLM gives it, not what the sequences need.
    """
    reserved = reserve_on(taken, machine)
    loads = [
        DeviceLoad(
            name=gpu.name,
            capacity_bytes=machine.usable_bytes(gpu),
            n_layers=taken.shape.n_layers + 1,
            weights_bytes=reserved.weights_bytes,
            cache_bytes=max(reserved.cache_bytes, 0),
            compute_bytes=sum(term.bytes for term in reserved.terms if term.kind == "compute"),
            overhead_bytes=sum(term.bytes for term in reserved.terms if term.kind == "overhead"),
        )
        for gpu in machine.gpus
    ]
    lacking = [load for load in loads if load.lacking_bytes]
    reasons = [_reason(reserved, taken.setup.sequences)]
    reasons += [f"{load.name} lacks {gib(load.lacking_bytes)}" for load in lacking]
    return Placement(
        loads=(
            *loads,
            DeviceLoad(name="system memory", capacity_bytes=machine.system_memory_bytes),
        ),
        n_layers=taken.shape.n_layers + 1,
        layers_by_gpu=(taken.shape.n_layers + 1,),  # each GPU computes a share of all of them
        experts_on_cpu=0,
        fits=not lacking and reserved.starts and reserved.n_sequences >= taken.setup.sequences,
        reasons=tuple(reasons),
    )


def _reason(reserved: Reservation, sequences: int) -> str:
    budget = (
        f"{gib(reserved.budget_bytes)} of each GPU"
        if reserved.n_gpus > 1
        else (f"the {gib(reserved.budget_bytes)} that vLLM takes")
    )
    if reserved.cache_bytes <= 0:
        return f"weights and buffers are {gib(-reserved.cache_bytes)} more than {budget}"
    room = f"{reserved.n_sequences:,.1f} sequences of {reserved.context:,} tokens"
    return (
        f"{gib(reserved.cache_bytes)} are left for the cache, room for {room}; {sequences} wanted"
    )
