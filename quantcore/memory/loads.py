"""What lies on each device, added up."""

from dataclasses import dataclass, replace

from quantcore.memory.buffers import Buffers, buffers_of
from quantcore.memory.estimate import Estimate
from quantcore.memory.layers import BytesByLayer, bytes_by_layer
from quantcore.memory.splitting import Split, gpu_ranges

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

    @property
    def lacking_bytes(self) -> int:
        """What does not fit; 0 where all does, or the size is not known."""
        return max(-(self.free_bytes or 0), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a model asks of devices: the bytes of its layers, and buffers beside them."""

    parts: BytesByLayer
    buffers: Buffers
    bare: bool  # no runtime: no margin
    several: bool  # GPUs

    @classmethod
    def of(cls, taken: Estimate, several: bool) -> "Demand":
        """Cut an estimate."""
        bare = taken.setup.runtime == "none"
        return cls(
            parts=bytes_by_layer(taken), buffers=buffers_of(taken), bare=bare, several=several
        )

    @property
    def margin_bytes(self) -> int:
        """Bytes that stay free on every device that is used."""
        return 0 if self.bare else MARGIN_BYTES

    def with_input_joined(self) -> "Demand":
        """Let the embedding go where the output goes."""
        output = self.parts.output
        whole = replace(output, dense_bytes=output.dense_bytes + self.parts.input_bytes)
        return replace(self, parts=replace(self.parts, input_bytes=0, output=whole))

    def reserve(self, has_output: bool, whole: bool) -> int:
        """Bytes of a GPU that are for no layer."""
        return self.margin_bytes + self.buffers.of_gpu(has_output, whole, self.several)

    def whole(self, split: Split) -> bool:
        """Whether GPUs hold all but the embedding; experts that are not there do not count."""
        apart = self.parts.layers[: split.without_experts]
        everything = sum(split.counts) == len(self.parts.all)
        return everything and not any(piece.expert_bytes for piece in apart)

    def gpu_load(self, name: str, capacity: int, gpu: int, split: Split) -> DeviceLoad:
        """Add up one GPU; one that holds nothing is not touched."""
        places = gpu_ranges(self.parts, split.counts)[gpu]
        held = [self.parts.all[i] for i in places]
        if not held:
            return DeviceLoad(name=name, capacity_bytes=capacity)
        experts = sum(self.parts.all[i].expert_bytes for i in places if i < split.without_experts)
        has_output = places.stop == len(self.parts.all)
        return DeviceLoad(
            name=name,
            capacity_bytes=capacity,
            n_layers=len(held),
            weights_bytes=sum(piece.weights_bytes for piece in held) - experts,
            cache_bytes=sum(piece.cache_bytes for piece in held),
            compute_bytes=self.buffers.of_gpu(has_output, self.whole(split), self.several),
            overhead_bytes=self.margin_bytes,
        )

    def host_load(self, capacity: int | None, split: Split) -> DeviceLoad:
        """Add up what stays in system memory."""
        parts, n_gpu = self.parts, sum(split.counts)
        n = len(parts.all) - n_gpu
        held, apart = parts.all[:n], parts.all[n : split.without_experts]
        weights = parts.input_bytes + sum(piece.weights_bytes for piece in held)
        weights += sum(piece.expert_bytes for piece in apart)
        return DeviceLoad(
            name="system memory",
            capacity_bytes=capacity,
            n_layers=n,
            weights_bytes=weights if n_gpu else weights - parts.copied_bytes,
            cache_bytes=sum(piece.cache_bytes for piece in held),
            compute_bytes=self.buffers.of_host(not n_gpu, self.whole(split), self.several),
            overhead_bytes=self.margin_bytes,
        )
