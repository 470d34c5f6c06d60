"""An estimate cut into layers, which can lie on different devices."""

from dataclasses import dataclass, replace

from quantcore.memory import llama_cpp
from quantcore.memory.estimate import Estimate, Setup, llama_cpp_setup
from quantcore.memory.kv_cache import cache_bytes
from quantcore.memory.vllm_terms import cache_terms_in_blocks
from quantcore.shape.model_shape import LayerCache, ModelShape, is_expert


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """Bytes of one layer, or of what follows the last: its weights and cache go together.

    Experts can be kept in system memory on their own, as llama.cpp's `--n-cpu-moe` does.
    """

    dense_bytes: int
    expert_bytes: int = 0
    cache_bytes: int = 0

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights."""
        return self.dense_bytes + self.expert_bytes

    @property
    def bytes(self) -> int:
        """Bytes of weights and cache."""
        return self.weights_bytes + self.cache_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesByLayer:
    """Bytes of what llama.cpp places: the input, the layers, the output."""

    input_bytes: int  # embedding: always in system memory
    layers: tuple[LayerBytes, ...]
    output: LayerBytes  # with `copied_bytes`
    copied_bytes: int  # llama.cpp copies a tied embedding to the GPU that computes the output

    @property
    def all(self) -> tuple[LayerBytes, ...]:
        """Layers and output, in the order of `-ngl`, which counts from the end."""
        return (*self.layers, self.output)


def bytes_by_layer(taken: Estimate) -> BytesByLayer:
    """Cut an estimate into layers; their caches add up to the estimate's, to the byte."""
    stored, shape = taken.stored, taken.shape
    dense, experts = [0] * shape.n_layers, [0] * shape.n_layers
    inputs = outputs = copied = 0
    for tensor in stored.tensors:
        if tensor.layer >= 0:
            (experts if is_expert(tensor.name) else dense)[tensor.layer] += tensor.bytes
        elif tensor.name.startswith("output"):
            outputs += tensor.bytes
        else:
            inputs += tensor.bytes
            if shape.tied_embedding and tensor.name == "token_embd.weight":
                copied = tensor.bytes if taken.setup.runtime == "llama.cpp" else 0
    caches = layer_caches(taken)
    return BytesByLayer(
        input_bytes=inputs,
        layers=tuple(
            LayerBytes(dense_bytes=d, expert_bytes=e, cache_bytes=c)
            for d, e, c in zip(dense, experts, caches, strict=True)
        ),
        output=LayerBytes(dense_bytes=outputs + copied),
        copied_bytes=copied,
    )


def layer_caches(taken: Estimate) -> tuple[int, ...]:
    """Bytes of each layer's cache; layers of one kind are equal, but for rounding."""
    shape, setup = taken.shape, taken.setup
    alone = {cache: _alone(shape, setup, cache) for cache in set(shape.caches)}
    total = sum(alone[cache] for cache in shape.caches)
    ends, so_far = [], 0
    for cache in shape.caches:
        so_far += alone[cache]
        ends.append(taken.kv_cache_bytes * so_far // total if total else 0)
    return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))


def _alone(shape: ModelShape, setup: Setup, cache: LayerCache) -> int:
    """Bytes of one layer of this kind."""
    one = replace(shape, caches=(cache,))
    kinds = setup.key_type, setup.value_type
    if setup.runtime == "llama.cpp":
        return llama_cpp.cache_bytes(one, llama_cpp_setup(setup))
    if setup.runtime == "vllm":
        terms = cache_terms_in_blocks(one, setup.context, setup.sequences, *kinds)
        return sum(term.bytes for term in terms)
    prefix = setup.shared_prefix
    return cache_bytes(one, setup.context, setup.sequences, *kinds, shared_prefix=prefix)
