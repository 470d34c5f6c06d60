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
from quantcore.memory.vllm_blocks import Blocks, blocks_of_shape
from quantcore.memory.weights import StoredTensor
from quantcore.shape.model_shape import ModelShape

UTILIZATION = 0.9  # 0.92 in releases of 2026
BATCHED_TOKENS, SEQUENCES = 2048, 256  # of `vllm serve` on GPUs with less than 70 GiB, and A100s
LARGE_GPU_BYTES = 70 << 30
LARGE_BATCHED_TOKENS, LARGE_SEQUENCES = 8192, 1024  # vllm/engine/arg_utils.py, get_batch_defaults

# Logs ("Actual usage is ... GiB for peak activation, ... non-torch memory, ... CUDAGraph memory"):
# Qwen2.5-0.5B, 2,048 tokens and 256 sequences: 1.06, 0.07 and 0.40 GiB; Llama-3.1-8B, 8,192 tokens:
# 1.20 and 0.12 GiB; an 8B on a B200: 1.51, 0.23 and 0.52 GiB; a 7B on an H100: 1.97, 0.07 and 0.67.
GRAPHS_BYTES = 1 << 29
OUTSIDE_TORCH_BYTES = 150 << 20
NCCL_BYTES = 342 << 20  # with several GPUs: ai-dynamo/aiconfigurator, systems/rtx_5090.yaml
LOGIT_COPIES = 7  # float32 logits that sampling holds at once: 1.06 GiB of the first log
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
    found: Estimate,
    gpu_bytes: int,
    n_gpus: int = 1,
    utilization: float = UTILIZATION,
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
    shape, setup = found.shape, found.setup
    if not 0 < utilization <= 1:
        raise ValueError(f"gpu_memory_utilization must be more than 0 and at most 1: {utilization}")
    if n_gpus < 1 or shape.n_heads % n_gpus:
        raise ValueError(f"{n_gpus} GPUs cannot share {shape.n_heads} heads evenly")
    if setup.key_type.upper() != setup.value_type.upper():
        types = f"{setup.key_type} and {setup.value_type}"
        raise ValueError(f"vLLM keeps keys and values in one type, not in {types}")
    large = gpu_bytes >= LARGE_GPU_BYTES
    batched = batched_tokens or (LARGE_BATCHED_TOKENS if large else BATCHED_TOKENS)
    sequences = max_sequences or (LARGE_SEQUENCES if large else SEQUENCES)
    terms = (
        _weights(found, n_gpus),
        _step(shape, n_gpus, batched, sequences),
        Term(
            kind="overhead",
            name="CUDA graphs",
            bytes=GRAPHS_BYTES,
            formula="0.5 GiB",
            why="estimate: logs say 0.4 to 0.9 GiB",
        ),
        _outside(n_gpus),
    )
    return Reservation(
        gpu_bytes=gpu_bytes,
        utilization=utilization,
        n_gpus=n_gpus,
        terms=terms,
        blocks=blocks_of_shape(shape, setup.key_type, n_gpus),
        context=setup.context,
        batched_tokens=batched,
    )


def share_of(tensor: StoredTensor, shape: ModelShape, n_gpus: int) -> int:
    """Bytes of a tensor on one GPU: matrices are divided, but for small ones and for KV heads.

    Where there are more GPUs than KV heads, each has a whole one.
    """
    if len(tensor.shape) < 2 or any(part in tensor.name for part in _WHOLE):
        return tensor.bytes
    if any(role in tensor.name for role in (".attn_k.", ".attn_v.")):
        return math.ceil(tensor.bytes / min(n_gpus, shape.n_kv_heads))
    return math.ceil(tensor.bytes / n_gpus)


def _weights(found: Estimate, n_gpus: int) -> Term:
    total = sum(share_of(tensor, found.shape, n_gpus) for tensor in found.stored.tensors)
    whole = gib(found.weights_bytes)
    return Term(
        kind="weights",
        name="weights",
        bytes=total,
        formula=f"{whole} / {n_gpus} GPUs, norms and routers on each" if n_gpus > 1 else whole,
    )


def _step(shape: ModelShape, n_gpus: int, batched_tokens: int, max_sequences: int) -> Term:
    """Hidden states and a feed-forward part in 16 bits, then logits while tokens are drawn."""
    used, width = 1, shape.feed_forward_size
    if shape.experts:
        used = shape.experts.used + shape.experts.shared
        width = shape.experts.size
    layer = 2 * batched_tokens * (2 * shape.hidden_size + 3 * used * width // n_gpus)
    logits = 4 * LOGIT_COPIES * max_sequences * shape.vocabulary_size
    return Term(
        kind="compute",
        name="largest step",
        bytes=layer + logits,
        formula=f"{batched_tokens:,} tokens × (2 × {shape.hidden_size:,} + 3 × "
        f"{used * width // n_gpus:,}) × 2 B + {max_sequences:,} sequences × "
        f"{shape.vocabulary_size:,} logits × {LOGIT_COPIES} × 4 B",
        why="estimate: vLLM measures it when it starts",
    )


def _outside(n_gpus: int) -> Term:
    several = n_gpus > 1
    return Term(
        kind="overhead",
        name="outside PyTorch",
        bytes=OUTSIDE_TORCH_BYTES + several * NCCL_BYTES,
        formula="150 MiB + 342 MiB for NCCL" if several else "150 MiB",
        why="estimate: logs say 0.02 to 0.23 GiB for one GPU",
    )
