"""How fast a model can run at best: bytes over bandwidth, operations over FLOPS.

Bounds: no program is faster, most reach half to nine tenths. For every token all active weights and
the whole cache pass through the processor once, so their bytes over the bandwidth of the memory
that they lie in is the least time; where layers lie on several devices, one computes after the
other. A prompt is read in large steps, which are bound by arithmetic instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from quantcore.memory.estimate import Estimate
from quantcore.memory.hardware import Device, Machine
from quantcore.memory.layers import bytes_by_layer
from quantcore.memory.placement import Placement
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one device reads for one token of every sequence."""

    device: str
    bytes: int
    seconds: float | None  # at least; None where its bandwidth is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedBound:
    """Upper bounds; None where a device's bandwidth or FLOPS are not known."""

    reads: tuple[Read, ...]  # of devices that compute, one after the other
    at_once: bool  # under vLLM all GPUs at the same time
    sequences: int
    prompt_flops: float  # to read a prompt as long as the context
    prompt_tokens_per_s: float | None

    @property
    def step_bytes(self) -> int:
        """Bytes read for one token of every sequence."""
        return sum(read.bytes for read in self.reads)

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second at most, of all sequences together."""
        seconds = [read.seconds for read in self.reads if read.seconds is not None]
        if len(seconds) < len(self.reads):
            return None
        return self.sequences / (max(seconds) if self.at_once else sum(seconds))


def speed_bound(taken: Estimate, placement: Placement, machine: Machine) -> SpeedBound:
    """Bound the speed at the end of the context, when the cache is full.

    Parameters
    ----------
    placement
        Where the estimate's layers lie on the machine.
    """
    at_once = taken.setup.runtime == "vllm"
    reads = _shared_reads(taken, machine) if at_once else _reads(taken, placement, machine)
    flops, rate = prompt_flops(taken.shape, taken.setup.context), _prompt_rate(machine)
    return SpeedBound(
        reads=tuple(reads),
        at_once=at_once,
        sequences=taken.setup.sequences,
        prompt_flops=flops,
        prompt_tokens_per_s=taken.setup.context * rate / flops if rate else None,
    )


def experts_read(shape: ModelShape, sequences: int) -> float:
    """Part of the experts that a step of several sequences reads, if they choose evenly.

    >>> from quantcore.shape import preset
    >>> [round(experts_read(preset("Mixtral-8x7B-v0.1"), n), 2) for n in (1, 2, 8)]
    [0.25, 0.44, 0.9]
    """
    if not shape.experts:
        return 1.0
    return 1 - (1 - shape.experts.used / shape.experts.count) ** sequences


def prompt_flops(shape: ModelShape, n_tokens: int) -> float:
    """Floating-point operations to read a prompt: two a weight and token, and attention's.

    The embedding is looked up, and logits are computed for the last token only.

    Examples
    --------
    Llama-3.1-8B has 6.98 billion weights in its layers, and 32 * 4 * 4,096 * 512 / 2 more.

    >>> from quantcore.shape import preset
    >>> round(prompt_flops(preset("Llama-3.1-8B"), 512) / 512 / 1e9, 2)
    14.09
    """
    ends = ("token_embd.", "output.", "position_embd.")
    outside = sum(prod(size) for name, size in shape.tensors.items() if name.startswith(ends))
    total = 2.0 * (shape.active_weights - outside) * n_tokens
    keys = values = shape.n_heads * shape.head_size
    if latent := shape.latent:
        keys = shape.n_heads * (latent.key_size + latent.rope_size)
        values = shape.n_heads * latent.value_size
    for cache in shape.caches:
        if cache.key_values:
            seen = min(cache.window or n_tokens, n_tokens)
            pairs = n_tokens * seen - seen * seen / 2  # each token with those that it sees
            total += 2 * pairs * (keys + values)
    return total


def _reads(taken: Estimate, placement: Placement, machine: Machine) -> Iterator[Read]:
    """Add up what each device that holds layers reads; experts may lie apart from their layer."""
    parts, share = bytes_by_layer(taken), experts_read(taken.shape, taken.setup.sequences)
    cards, counts = machine.gpus, placement.layers_by_gpu
    if len(counts) < len(cards):  # one pool: as fast as the fastest of them
        cards = (max(cards, key=lambda gpu: gpu.bandwidth_bytes_per_s or 0),)
    system = len(cards)
    places = [system] * (placement.n_layers - sum(counts))
    places += [gpu for gpu, count in enumerate(counts) for _ in range(count)]
    sums = [0] * (system + 1)
    for layer, (piece, place) in enumerate(zip(parts.all, places, strict=True)):
        sums[place] += piece.dense_bytes + piece.cache_bytes
        experts = system if layer < placement.experts_on_cpu else place
        sums[experts] += round(share * piece.expert_bytes)
    if taken.shape.tied_embedding and not parts.copied_bytes:
        sums[places[-1]] += parts.input_bytes  # for logits
    devices = [*cards, machine.system]
    names = [*(card.name for card in cards), placement.loads[-1].name]
    for device, name, n_bytes in zip(devices, names, sums, strict=True):
        if n_bytes:
            yield _read(name, device, n_bytes)


def _shared_reads(taken: Estimate, machine: Machine) -> Iterator[Read]:
    """Give each of vLLM's GPUs an equal share of all that is read."""
    parts, share = bytes_by_layer(taken), experts_read(taken.shape, taken.setup.sequences)
    total = parts.input_bytes * taken.shape.tied_embedding
    for piece in parts.all:
        total += piece.dense_bytes + piece.cache_bytes + round(share * piece.expert_bytes)
    for gpu in machine.gpus:
        yield _read(gpu.name, gpu, total // len(machine.gpus))


def _read(name: str, device: Device | None, n_bytes: int) -> Read:
    bandwidth = device.bandwidth_bytes_per_s if device else None
    return Read(device=name, bytes=n_bytes, seconds=n_bytes / bandwidth if bandwidth else None)


def _prompt_rate(machine: Machine) -> float | None:
    """FLOPS of all GPUs, which also compute the CPU's layers of a long prompt; of the CPU alone."""
    devices = machine.gpus or ((machine.system,) if machine.system else ())
    rates = [device.flops for device in devices if device.flops]
    return sum(rates) if rates and len(rates) == len(devices) else None
