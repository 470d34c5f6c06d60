"""What a model takes under vLLM, term by term: blocks of its cache, and what vLLM keeps free.

The largest step and CUDA's graphs are measured by vLLM when it starts; here they are estimated.
"""

from collections.abc import Iterator

from quantcore.memory.term import Term
from quantcore.memory.vllm_blocks import BLOCK_TOKENS, blocks_of_shape, one_type
from quantcore.shape.model_shape import ModelShape

UTILIZATION = 0.9  # gpu_memory_utilization; 0.92 in releases of 2026
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


def cache_terms_in_blocks(
    shape: ModelShape,
    context: int,
    n_sequences: int,
    key_type: str,
    value_type: str,
    shared_prefix: int = 0,
) -> Iterator[Term]:
    """Give what sequences of full length take of the cache, in whole blocks.

    Layers with a window also keep the tokens of the step that is just being read. Of a prefix that
    all sequences begin with, full blocks are kept once in layers that see everything.
    """
    if not 0 <= shared_prefix <= context:
        raise ValueError(
            f"The shared prefix of {shared_prefix:,} tokens must be within the context of "
            f"{context:,}"
        )
    blocks = blocks_of_shape(shape, one_type(key_type, value_type))
    sees_all = sum(group.window is None for group in blocks.groups)
    shared = (n_sequences - 1) * sees_all * (shared_prefix // BLOCK_TOKENS)
    count = n_sequences * blocks.blocks_of(context, BATCHED_TOKENS) - shared
    if count:
        yield Term(
            kind="cache",
            name="cache in blocks of 16 tokens",
            bytes=count * blocks.block_bytes,
            formula=f"{count:,} blocks × {blocks.layers_per_group} layers × "
            f"{blocks.page_bytes:,} B",
            why=f"vLLM puts layers into {len(blocks.groups)} groups of equal size"
            if len(blocks.groups) > 1
            else "",
        )
    if blocks.state_bytes:
        yield Term(
            kind="cache",
            name="states of recurrent layers",
            bytes=n_sequences * blocks.state_bytes,
            formula=f"{n_sequences:,} sequences × {blocks.state_bytes:,} B",
        )


def overhead_terms(
    shape: ModelShape,
    n_gpus: int = 1,
    batched_tokens: int = BATCHED_TOKENS,
    max_sequences: int = SEQUENCES,
) -> tuple[Term, ...]:
    """Estimate what each GPU needs besides weights and cache."""
    graphs = Term(
        kind="overhead",
        name="CUDA graphs",
        bytes=GRAPHS_BYTES,
        formula="0.5 GiB",
        why="estimate: logs say 0.4 to 0.9 GiB",
    )
    return _step(shape, n_gpus, batched_tokens, max_sequences), graphs, _outside(n_gpus)


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
