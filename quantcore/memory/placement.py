"""Which device holds which layers, as llama.cpp places them."""

from dataclasses import dataclass, replace

from quantcore.memory.estimate import Estimate
from quantcore.memory.hardware import Machine
from quantcore.memory.layers import Pieces, pieces
from quantcore.memory.sizes import gib
from quantcore.memory.splitting import Split, ranges, split_layers

MARGIN_BYTES = 1 << 30
MARGIN = (
    "what llama.cpp leaves free of every device (--fit-target, 1,024 MiB): CUDA's context takes "
    "107 to 555 MiB of it (ggml-org/llama.cpp, pull request 23604), the rest is for the display"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """What lies on one device."""

    name: str
    capacity_bytes: int | None  # that programs may use; None where it is not known
    n_layers: int = 0  # the output counts as one
    weights_bytes: int = 0
    cache_bytes: int = 0
    compute_bytes: int = 0
    overhead_bytes: int = 0  # `MARGIN`

    @property
    def used_bytes(self) -> int:
        """Bytes of everything on it."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes + self.overhead_bytes

    @property
    def free_bytes(self) -> int | None:
        """What is left, less than 0 where it does not fit; None where the size is not known."""
        return None if self.capacity_bytes is None else self.capacity_bytes - self.used_bytes


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


def place_layers(found: Estimate, machine: Machine, layers_on_gpu: int | None = None) -> Placement:
    """Lay an estimate out on a machine as llama.cpp would.

    As many layers as fit go to the GPUs, from the last one backwards: output first, each layer with
    its cache. Where everything fits, several GPUs share the layers by their free memory, otherwise
    they are filled from the last to the first. Of a mixture of experts, first the experts of the
    leading layers stay in system memory (--n-cpu-moe), which costs less speed than whole layers.
    The compute buffer is counted on every device that computes: an upper bound.

    Without a runtime there is one pool of all GPUs, and no margin.

    Parameters
    ----------
    layers_on_gpu
        -ngl, where it is given: nothing is moved then, and it may not fit.

    Raises
    ------
    ValueError
        If `layers_on_gpu` is not between 0 and the number of layers plus 1.
    """
    parts = pieces(found)
    if layers_on_gpu is not None and not 0 <= layers_on_gpu <= len(parts.all):
        raise ValueError(
            f"{layers_on_gpu} layers cannot go to the GPU: there are {len(parts.all)}, the output "
            "counted as one"
        )
    bare = found.setup.runtime == "none"
    names, capacities = (
        [gpu.name for gpu in machine.gpus],
        [*map(machine.usable_bytes, machine.gpus)],
    )
    if bare and len(names) > 1:
        names, capacities = [f"{len(names)} GPUs together"], [sum(capacities)]
    margin = 0 if bare else MARGIN_BYTES
    parts, split = _divided(parts, capacities, margin + parts.compute_bytes, layers_on_gpu, bare)
    loads = [
        _load(parts, name, capacity, places, split.without_experts, margin)
        for name, capacity, places in zip(
            names, capacities, ranges(parts, split.counts), strict=True
        )
    ]
    return _told(parts, machine, loads, split, margin)


def _divided(
    parts: Pieces, free: list[int], reserved: int, fixed: int | None, bare: bool
) -> tuple[Pieces, Split]:
    """Share out the layers; without a runtime the embedding joins them where there is room."""
    if bare and free:
        inputs, output = parts.input_bytes, parts.output
        whole = replace(output, dense_bytes=output.dense_bytes + inputs)
        joined = replace(parts, input_bytes=0, output=whole)
        split = split_layers(joined, free, reserved, fixed)
        if split == Split((len(parts.all),)):
            return joined, split
    return parts, split_layers(parts, free, reserved, fixed)


def _load(
    parts: Pieces, name: str, capacity: int, places: range, without_experts: int, margin: int
) -> DeviceLoad:
    """Add up what lies on one GPU; one that holds nothing is not touched."""
    held = [parts.all[i] for i in places]
    experts = sum(parts.all[i].expert_bytes for i in places if i < without_experts)
    return DeviceLoad(
        name=name,
        capacity_bytes=capacity,
        n_layers=len(held),
        weights_bytes=sum(piece.weights_bytes for piece in held) - experts,
        cache_bytes=sum(piece.cache_bytes for piece in held),
        compute_bytes=parts.compute_bytes if held else 0,
        overhead_bytes=margin if held else 0,
    )


def _on_cpu(parts: Pieces, machine: Machine, split: Split, margin: int) -> DeviceLoad:
    """Add up what stays in system memory."""
    n = len(parts.all) - sum(split.counts)
    held, rest = parts.all[:n], parts.all[n : split.without_experts]
    weights = parts.input_bytes + sum(piece.weights_bytes for piece in held)
    if not sum(split.counts):
        weights -= parts.copied_bytes
    compute = parts.compute_bytes if n else parts.handed_over_bytes * bool(margin)
    return DeviceLoad(
        name="system memory",
        capacity_bytes=machine.system_memory_bytes,
        n_layers=n,
        weights_bytes=weights + sum(piece.expert_bytes for piece in rest),
        cache_bytes=sum(piece.cache_bytes for piece in held),
        compute_bytes=compute + parts.host_bytes,
        overhead_bytes=margin,
    )


def _told(
    parts: Pieces, machine: Machine, loads: list[DeviceLoad], split: Split, margin: int
) -> Placement:
    """Judge the placement, with a sentence for each reason."""
    system = _on_cpu(parts, machine, split, margin)
    if machine.unified:  # of the same chips, what the GPU's part leaves
        taken = sum(load.used_bytes - load.overhead_bytes for load in loads)
        capacity = max(machine.system_memory_bytes - taken, 0)
        system = replace(system, name="memory that the GPU leaves", capacity_bytes=capacity)
    reasons = [_where(len(parts.all), split, system)]
    lacking = [load for load in [*loads, system] if (load.free_bytes or 0) < 0]
    reasons += [f"{load.name} lacks {gib(-load.free_bytes)}" for load in lacking]
    # A computer has room for an embedding; where nothing is said of a runtime, it must fit too.
    left = system.n_layers or split.without_experts or (system.weights_bytes and not margin)
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
        return f"all {n} layers, the output counted as one, lie on {where}"
    if on_gpu == n:
        return (
            f"all {n} layers lie on {where}, but the experts of {split.without_experts} stay in "
            f"system memory, {gib(system.weights_bytes)} with the embedding"
        )
    experts = " and all experts" if split.without_experts else ""
    return (
        f"{on_gpu} of {n} layers lie on {where}; {n - on_gpu}{experts} stay in system memory, "
        f"{gib(system.weights_bytes + system.cache_bytes)} with the embedding"
    )
