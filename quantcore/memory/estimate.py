"""All that a model takes under a set-up, term by term, each with its formula."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from quantcore.architectures import by_name
from quantcore.formats import FORMATS, get_format
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.memory import llama_cpp
from quantcore.memory.deployed import deployed_weights
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.kv_cache import CacheTerm, cache_terms
from quantcore.memory.term import Term, TermKind
from quantcore.memory.vllm_terms import UTILIZATION, cache_terms_in_blocks, overhead_terms
from quantcore.memory.weights import StoredWeights, stored_weights
from quantcore.shape.model_shape import ModelShape

RUNTIMES = ("none", "llama.cpp", "vllm")
Runtime = Literal["none", "llama.cpp", "vllm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a model is to be run. `none` is no runtime: what the model itself needs."""

    type_name: str = "Q4_K_M"
    context: int = 4096  # of all sequences together under llama.cpp, of each otherwise
    sequences: int = 1
    key_type: str = "F16"
    value_type: str = "F16"
    shared_prefix: int = 0  # tokens that all sequences begin with, kept once
    runtime: Runtime = "none"
    batch: int = 2048  # llama.cpp's -b and -ub
    ubatch: int = 512
    flash_attention: bool = True
    utilization: float = UTILIZATION  # vLLM's gpu_memory_utilization

    @property
    def sharing(self) -> int:
        """Sequences that share the context: all of them under llama.cpp, or each has its own."""
        return self.sequences if self.runtime == "llama.cpp" else 1

    @property
    def context_of_each(self) -> int:
        """Tokens of one sequence."""
        return self.context // self.sharing

    @property
    def context_of_all(self) -> int:
        """Tokens of all sequences together."""
        return self.context * (self.sequences // self.sharing)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.runtime not in RUNTIMES:
            raise ValueError(f"No runtime {self.runtime!r}; there are {', '.join(RUNTIMES)}")
        for name in ("context", "sequences", "batch", "ubatch"):
            if not 1 <= getattr(self, name) <= 2**40:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.utilization <= 1:
            raise ValueError(
                f"gpu_memory_utilization must be more than 0 and at most 1, got {self.utilization}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of a model under a set-up."""

    shape: ModelShape
    setup: Setup
    stored: StoredWeights
    terms: tuple[Term, ...]

    def bytes_of(self, kind: TermKind) -> int:
        """Bytes of the terms of one kind."""
        return sum(term.bytes for term in self.terms if term.kind == kind)

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights."""
        return self.bytes_of("weights")

    @property
    def kv_cache_bytes(self) -> int:
        """Bytes of the KV cache, states of recurrent layers included."""
        return self.bytes_of("cache")

    @property
    def compute_bytes(self) -> int:
        """Bytes of buffers for results in the making."""
        return self.bytes_of("compute")

    @property
    def overhead_bytes(self) -> int:
        """Bytes that the runtime takes besides."""
        return self.bytes_of("overhead")

    @property
    def total_bytes(self) -> int:
        """Bytes of everything."""
        return sum(term.bytes for term in self.terms)

    @property
    def compute_estimated(self) -> str:
        """Why llama.cpp's compute buffer is no certainty; "" where it is, or there is none."""
        name = self.shape.architecture
        if self.setup.runtime != "llama.cpp" or by_name(name).graph_known:
            return ""
        return (
            f"the compute buffer of {name} was never held against llama.cpp’s own: its graph is "
            "taken to be that of a plain decoder with these layers"
        )

    @property
    def main_format(self) -> str:
        """Format that most bytes of the weights are in."""
        sizes: Counter[str] = Counter()
        for tensor in self.stored.tensors:
            sizes[tensor.format] += tensor.bytes
        return sizes.most_common(1)[0][0]

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes that one more token of one sequence adds while no window is full."""
        one = cache_terms(self.shape, 1, 1, self.setup.key_type, self.setup.value_type)
        return sum(term.key_bytes + term.value_bytes for term in one)


def estimate(shape: ModelShape, setup: Setup, stored: StoredWeights | None = None) -> Estimate:
    """Add up weights, cache and buffers.

    `stored` are weights as they lie in a file, which count instead of the set-up's type.

    Raises
    ------
    ValueError
        For an unknown type or runtime, or a cache that the heads do not divide into.
    """
    stored = stored or weights_in(shape, setup.type_name, setup.runtime)
    beside = {"none": _cache, "llama.cpp": _under_llama_cpp, "vllm": _under_vllm}[setup.runtime]
    terms = [*_weights(stored), *beside(shape, setup)]
    return Estimate(shape=shape, setup=setup, stored=stored, terms=tuple(terms))


def in_type(taken: Estimate, type_name: str, stored: StoredWeights | None = None) -> Estimate:
    """Return the same set-up with weights in another type; cache and buffers do not depend on it.

    `stored` are the weights in that type, where they are known already.
    """
    stored = stored or weights_in(taken.shape, type_name, taken.setup.runtime)
    terms = (*_weights(stored), *(term for term in taken.terms if term.kind != "weights"))
    setup = replace(taken.setup, type_name=type_name)
    return Estimate(shape=taken.shape, setup=setup, stored=stored, terms=terms)


def weights_in(shape: ModelShape, type_name: str, runtime: Runtime = "none") -> StoredWeights:
    """Bytes of every tensor in a type: of a checkpoint for GPUs, as GPTQ, or of a GGUF file.

    Under llama.cpp MXFP4 and NVFP4 are the GGUF types of these names.

    Raises
    ------
    ValueError
        If the type is unknown, cannot be put on this model, or the runtime does not read it.
    """
    name = type_name.upper()
    if runtime == "llama.cpp" and name in set(DEPLOYED) - set(FORMATS):
        raise ValueError(
            f"llama.cpp reads GGUF files, and {type_name} is not one of their types: choose "
            "another type, such as Q4_K_M, or the runtime vllm"
        )
    if name in DEPLOYED and runtime != "llama.cpp":
        return deployed_weights(shape, type_name)
    return stored_weights(shape, type_name)


def _weights(stored: StoredWeights) -> Iterator[Term]:
    """One term for the tensors of each part in each format."""
    for group in stored.alike:
        counted = f"{group.n_tensors} tensor{'s' if group.n_tensors > 1 else ''}"
        yield Term(
            kind="weights",
            name=f"{group.part} in {group.format}",
            bytes=group.bytes,
            formula=f"{counted}, {group.n_weights:,} weights{_times(group.format)}",
        )


def _times(format_name: str) -> str:
    """Say what weights are multiplied by; for an unknown type, where its bytes come from."""
    try:
        return f" × {_each(format_name)}"
    except ValueError:
        return f", as the file’s offsets say: the lab does not know {format_name}"


def _each(format_name: str) -> str:
    """Bytes of a weight as a fraction: "144 B / 256"; ValueError for an unknown format."""
    if format_name == "FP8":  # vLLM's cache
        return "1 B"
    if format_name in DEPLOYED:
        return DEPLOYED[format_name].each
    if (known := GGML_TYPES.get(format_name)) is not None:
        return f"{known.block_bytes} B" + (f" / {known.block_size}" * (known.block_size > 1))
    return f"{get_format(format_name).code_bits} bits, and scales"  # they are apart from the codes


def llama_cpp_setup(setup: Setup) -> llama_cpp.LlamaCppSetup:
    """Take what llama.cpp knows of a set-up."""
    return llama_cpp.LlamaCppSetup(
        context=setup.context,
        sequences=setup.sequences,
        key_type=setup.key_type.upper(),
        value_type=setup.value_type.upper(),
        batch=setup.batch,
        ubatch=setup.ubatch,
        flash_attention=setup.flash_attention,
    )


def _under_llama_cpp(shape: ModelShape, setup: Setup) -> Iterator[Term]:
    if setup.shared_prefix:
        raise ValueError(
            "llama.cpp keeps no prefix once for several sequences: leave the shared prefix at 0"
        )
    own = llama_cpp_setup(setup)
    yield from llama_cpp.cache_terms(shape, own)
    yield from llama_cpp.compute_terms(shape, own)
    yield from llama_cpp.output_terms(shape, own)


def _under_vllm(shape: ModelShape, setup: Setup) -> Iterator[Term]:
    kinds = setup.key_type, setup.value_type
    sizes = setup.context, setup.sequences, *kinds, setup.shared_prefix
    yield from cache_terms_in_blocks(shape, *sizes)
    yield from overhead_terms(shape)


_NAMES = {
    "full": "cache of layers that see everything",
    "window": "cache of layers with a window",
    "chunk": "cache of layers with chunks",
    "latent": "cache of latent vectors",
    "state": "states of recurrent layers",
}


def _cache(shape: ModelShape, setup: Setup) -> Iterator[Term]:
    terms = cache_terms(
        shape,
        setup.context,
        setup.sequences,
        setup.key_type,
        setup.value_type,
        shared_prefix=setup.shared_prefix,
    )
    for term in terms:
        if kept := term.key_bytes + term.value_bytes:
            yield Term(
                kind="cache",
                name=_NAMES[term.kind],
                bytes=kept,
                formula=_cache_formula(shape, setup, term),
            )
        if term.state_bytes:
            yield Term(
                kind="cache",
                name=_NAMES["state"],
                bytes=term.state_bytes,
                formula=_state_formula(term),
            )


def _layers(term: CacheTerm) -> str:
    return f"{term.n_layers} layer{'s' if term.n_layers > 1 else ''}"


def _state_formula(term: CacheTerm) -> str:
    each = f" × {term.n_sequences} sequences" if term.n_sequences > 1 else ""
    return f"{_layers(term)} × {term.state_values:,} numbers × 4 B{each}"


def _cache_formula(shape: ModelShape, setup: Setup, term: CacheTerm) -> str:
    counted = f"{_layers(term)} × {term.n_tokens:,} tokens"
    key, value = _each(setup.key_type.upper()), _each(setup.value_type.upper())
    if term.kind == "latent":
        latent = shape.latent
        assert latent is not None
        index = f" + {latent.index_size} of the indexer" if latent.index_size else ""
        return f"{counted} × ({latent.kv_size} + {latent.rope_size}{index}) × {key}"
    row = f"{shape.n_kv_heads} KV heads × {shape.head_size}"
    if term.key_values != shape.n_kv_heads * shape.head_size:
        row = f"{term.key_values:,} numbers"
    if key == value:
        return f"{counted} × 2 × {row} × {key}"
    return f"{counted} × {row} × ({key} + {value})"
