"""Which device holds which layers, as llama.cpp places them."""

from dataclasses import dataclass, replace

from quantcore.memory.estimate import Estimate
from quantcore.memory.hardware import Machine
from quantcore.memory.loads import Demand, DeviceLoad
from quantcore.memory.sizes import gib
from quantcore.memory.splitting import Split, split_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """All devices of a machine, GPUs first, and whether it works out."""

    loads: tuple[DeviceLoad, ...]  # the last is system memory
    n_layers: int  # with the output
    layers_by_gpu: tuple[int, ...]
    experts_on_cpu: int  # leading layers whose experts stay in system memory
    fits: bool
    reasons: tuple[str, ...]  # a sentence each

    @property
    def layers_on_gpu(self) -> int:
        """What -ngl is: layers on GPUs, the output among them."""
        return sum(self.layers_by_gpu)

    @property
    def whole_on_gpu(self) -> bool:
        """Whether nothing but the input is left to the CPU."""
        return self.layers_on_gpu == self.n_layers and not self.experts_on_cpu

    @property
    def spare_bytes(self) -> int | None:
        """Bytes left on the fullest device that computes; below 0 those that lack."""
        busy = [
            load.free_bytes for load in self.loads if load.n_layers and load.free_bytes is not None
        ]
        return min(busy, default=None)


def place_layers(
    taken: Estimate, machine: Machine, layers_on_gpu: int | None = None, experts_on_cpu: int = 0
) -> Placement:
    """Lay an estimate out on a machine as llama.cpp would.

    As many layers as fit go to the GPUs, from the last one backwards: output first, each layer with
    its cache. Where everything fits, several GPUs share the layers by their free memory, otherwise
    they are filled from the last to the first. Of a mixture of experts, first the experts of the
    leading layers stay in system memory (--n-cpu-moe), which costs less speed than whole layers.

    Without a runtime there is one pool of all GPUs, and no margin.

    Parameters
    ----------
    layers_on_gpu, experts_on_cpu
        -ngl and --n-cpu-moe, where they are given: nothing is moved then, and it may not fit.

    Raises
    ------
    ValueError
        If `layers_on_gpu` is not between 0 and the number of layers plus 1.
    """
    demand = Demand.of(taken, several=len(machine.gpus) > 1)
    n = len(demand.parts.all)
    if layers_on_gpu is not None and not 0 <= layers_on_gpu <= n:
        raise ValueError(
            f"{layers_on_gpu} layers cannot go to the GPU: there are {n}, the output counted as one"
        )
    names = [gpu.name for gpu in machine.gpus]
    free = [machine.usable_bytes(gpu) for gpu in machine.gpus]
    if demand.bare and len(names) > 1:
        names, free = [f"{len(names)} GPUs together"], [sum(free)]
    demand, split = _divided(demand, free, layers_on_gpu, experts_on_cpu)
    loads = [
        demand.gpu_load(name, size, i, split)
        for i, (name, size) in enumerate(zip(names, free, strict=True))
    ]
    return _told(demand, machine, loads, split)


def _divided(demand: Demand, free: list[int], fixed: int | None, kept: int) -> tuple[Demand, Split]:
    """Share out the layers; without a runtime the embedding joins them where there is room."""
    if demand.bare and free:
        joined = demand.with_input_joined()
        split = split_layers(joined.parts, free, joined.reserve, fixed, kept)
        if split == Split((len(demand.parts.all),)):
            return joined, split
    return demand, split_layers(demand.parts, free, demand.reserve, fixed, kept)


def _told(demand: Demand, machine: Machine, loads: list[DeviceLoad], split: Split) -> Placement:
    """Judge the placement, with a sentence for each reason."""
    parts, system = demand.parts, demand.host_load(machine.system_memory_bytes, split)
    if machine.unified and machine.system:  # of the same chips, what the GPU's part leaves
        taken = sum(load.used_bytes - load.overhead_bytes for load in loads)
        capacity = max(machine.system.memory_bytes - taken, 0)
        system = replace(system, name="memory that the GPU leaves", capacity_bytes=capacity)
    reasons = [_where(len(parts.all), split, system)]
    lacking = [load for load in [*loads, system] if load.lacking_bytes]
    reasons += [f"{load.name} lacks {gib(load.lacking_bytes)}" for load in lacking]
    # A computer has room for an embedding; where nothing is said of a runtime, it must fit too.
    left = system.n_layers or split.without_experts or (system.weights_bytes and demand.bare)
    unknown = left and system.capacity_bytes is None
    if unknown:
        alone = system.weights_bytes if not (system.n_layers or split.without_experts) else 0
        reasons.append(
            f"the embedding, {gib(alone)}, has no room beside them"
            if alone
            else "how much system memory there is was not said"
        )
    return Placement(
        loads=(*loads, system),
        n_layers=len(parts.all),
        layers_by_gpu=split.counts,
        experts_on_cpu=split.without_experts,
        fits=not lacking and not unknown,
        reasons=tuple(reasons),
    )


def _where(n: int, split: Split, system: DeviceLoad) -> str:
    on_gpu = sum(split.counts)
    if not on_gpu:
        return f"all {n} layers, the output counted as one, are computed by the CPU"
    where = "the GPU" if len(split.counts) == 1 else "the GPUs"
    if on_gpu == n and not split.without_experts:
        apart = system.weights_bytes
        beside = f"; the embedding, {gib(apart)}, stays in system memory" if apart else ""
        return f"all {n} layers, the output counted as one, are on {where}{beside}"
    if on_gpu == n:
        return (
            f"all {n} layers are on {where}, but the experts of {split.without_experts} stay in "
            f"system memory, {gib(system.weights_bytes)} with the embedding"
        )
    experts = " and all experts" if split.without_experts else ""
    are, stay = ("is" if on_gpu == 1 else "are"), ("stays" if n - on_gpu == 1 else "stay")
    return (
        f"{on_gpu} of {n} layers {are} on {where}; {n - on_gpu}{experts} {stay} in system memory, "
        f"{gib(system.weights_bytes + system.cache_bytes)} with the embedding"
    )
