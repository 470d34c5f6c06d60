"""What vLLM reserves on each GPU before it serves.

It takes a share of the GPU's memory (`gpu_memory_utilization`), loads its part of the weights,
measures the largest step that it is set up for, and gives all that is left to the KV cache, in
blocks. Weights and blocks follow from the shape; what a step and CUDA's graphs take is measured by
vLLM on the spot, and estimated here, from logs that are named beside the constants.
"""

import math
from dataclasses import dataclass

from quantcore.memory.estimate import Estimate, Term
from quantcore.memory.sizes import gib
from quantcore.memory.vllm_blocks import Blocks, blocks_of_shape, one_type
from quantcore.memory.vllm_terms import (
    BATCHED_TOKENS,
    LARGE_BATCHED_TOKENS,
    LARGE_GPU_BYTES,
    LARGE_SEQUENCES,
    SEQUENCES,
    overhead_terms,
)
from quantcore.memory.weights import TensorBytes
from quantcore.shape.model_shape import ModelShape

_WHOLE = ("attn_q_a.", "attn_kv_a_mqa.", "ffn_gate_inp", "position_embd")  # on every GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Memory of one of `n_gpus` equal GPUs; every figure is a GPU's."""

    gpu_bytes: int
    utilization: float
    n_gpus: int
    terms: tuple[Term, ...]  # weights, step, graphs, and what lies outside PyTorch
    blocks: Blocks
    context: int  # max_model_len
    batched_tokens: int
    max_sequences: int  # max_num_seqs

    @property
    def budget_bytes(self) -> int:
        """Bytes that vLLM takes of the GPU."""
        return int(self.gpu_bytes * self.utilization)

    @property
    def weights_bytes(self) -> int:
        """Bytes of this GPU's part of the weights."""
        return sum(term.bytes for term in self.terms if term.kind == "weights")

    @property
    def cache_bytes(self) -> int:
        """Bytes that are left for the KV cache; below 0 where there are none."""
        return self.budget_bytes - sum(term.bytes for term in self.terms)

    @property
    def n_blocks(self) -> int:
        """Blocks that the cache gets."""
        return self.blocks.count(self.cache_bytes)

    @property
    def n_tokens(self) -> int:
        """Tokens that the cache holds, all sequences together, as vLLM counts them."""
        return self.blocks.tokens(self.cache_bytes)

    @property
    def n_sequences(self) -> float:
        """Sequences of `context` tokens that the cache holds."""
        return self.blocks.sequences(self.cache_bytes, self.context, self.batched_tokens)

    @property
    def starts(self) -> bool:
        """Whether vLLM would start: at least one sequence of full length must fit."""
        return self.cache_bytes > 0 and self.n_sequences >= 1


def reserve(
    taken: Estimate,
    gpu_bytes: int,
    n_gpus: int = 1,
    batched_tokens: int | None = None,
    max_sequences: int | None = None,
) -> Reservation:
    """Say what vLLM reserves on each of `n_gpus` GPUs, which share every matrix (tensor parallel).

    Raises
    ------
    ValueError
        If the share is not between 0 and 1, the GPUs do not divide the heads, or vLLM has no such
        cache.
    """
    shape, setup = taken.shape, taken.setup
    if n_gpus < 1 or shape.n_heads % n_gpus:
        raise ValueError(f"{n_gpus} GPUs cannot share {shape.n_heads} heads evenly")
    large = gpu_bytes >= LARGE_GPU_BYTES
    batched = batched_tokens or (LARGE_BATCHED_TOKENS if large else BATCHED_TOKENS)
    usual = LARGE_SEQUENCES if large else SEQUENCES
    sequences = max_sequences or max(usual, setup.sequences)
    terms = (_weights(taken, n_gpus), *overhead_terms(shape, n_gpus, batched, sequences))
    return Reservation(
        gpu_bytes=gpu_bytes,
        utilization=setup.utilization,
        n_gpus=n_gpus,
        terms=terms,
        blocks=blocks_of_shape(shape, one_type(setup.key_type, setup.value_type), n_gpus),
        context=setup.context,
        batched_tokens=batched,
        max_sequences=sequences,
    )


def share_of(tensor: TensorBytes, shape: ModelShape, n_gpus: int) -> int:
    """Bytes of a tensor on one GPU: matrices are divided, but for small ones and for KV heads.

    Where there are more GPUs than KV heads, each has a whole one.
    """
    if len(tensor.shape) < 2 or any(part in tensor.name for part in _WHOLE):
        return tensor.bytes
    if any(role in tensor.name for role in (".attn_k.", ".attn_v.")):
        return math.ceil(tensor.bytes / min(n_gpus, shape.n_kv_heads))
    return math.ceil(tensor.bytes / n_gpus)


def _weights(taken: Estimate, n_gpus: int) -> Term:
    total = sum(share_of(tensor, taken.shape, n_gpus) for tensor in taken.stored.tensors)
    whole = gib(taken.weights_bytes)
    return Term(
        kind="weights",
        name="weights",
        bytes=total,
        formula=f"{whole} / {n_gpus} GPUs, norms and routers on each" if n_gpus > 1 else whole,
    )
