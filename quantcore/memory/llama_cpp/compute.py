"""The compute buffer: what lies in it at the moment at which it is fullest."""

from collections import Counter, defaultdict
from functools import lru_cache

from quantcore.memory.llama_cpp.allocator import Peak, peak
from quantcore.memory.llama_cpp.devices import (
    CPU_ALIGNMENT,
    GPU_ALIGNMENT,
    beside_gpu,
    on_gpu,
)
from quantcore.memory.llama_cpp.graph import Graph
from quantcore.memory.llama_cpp.model_graph import build
from quantcore.memory.llama_cpp.question import Question
from quantcore.memory.llama_cpp.refusals import refuse
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.memory.term import Term
from quantcore.memory.weights import StoredWeights
from quantcore.shape.model_shape import ModelShape, is_expert

OFFLOADED_FROM = 32  # tokens; fewer are computed where the weights lie
WHY = {
    "logits": "a score for every word of the vocabulary, for each token of the micro-batch",
    "attention scores": "without flash attention every token's score with every cell is held",
    "attention mask": "which cells each token may see",
    "room for images": "kept for embeddings that come in place of text, even where none do",
    "a matrix in system memory": "of a prompt the GPU computes all layers, so it copies it",
    "gaps": "room that earlier tensors have left and no tensor of this moment fits into",
}


def compute_terms(shape: ModelShape, setup: LlamaCppSetup) -> tuple[Term, ...]:
    """Tensors that the buffer holds at its fullest, largest first; their sum is its size.

    The model is on the CPU, nothing offloaded.

    Raises
    ------
    ValueError
        If llama.cpp refuses the set-up.
    """
    refuse(shape, setup)
    return _terms(_on_cpu(Question.of(shape, setup)))


def compute_bytes(shape: ModelShape, setup: LlamaCppSetup) -> int:
    """Bytes of the compute buffer."""
    refuse(shape, setup)
    return _on_cpu(Question.of(shape, setup)).bytes


@lru_cache(maxsize=128)
def _on_cpu(question: Question) -> Peak:
    return peak(_graph(question), CPU_ALIGNMENT)


@lru_cache(maxsize=16)
def _graph(question: Question) -> Graph:
    return build(question.shape, question.own)


def gpu_compute_terms(
    shape: ModelShape,
    setup: LlamaCppSetup,
    stored: StoredWeights | None = None,
    gpu_layers: int | None = None,
    cpu_experts: int = 0,
) -> tuple[Term, ...]:
    """Tensors in the compute buffer of the one GPU, which holds the last `gpu_layers` (-ngl).

    The output counts as a layer after the last; None are all. `cpu_experts` (--n-cpu-moe) leading
    layers have their experts in system memory. Of a prompt the GPU computes those as well, and
    borrows their matrices of `stored`, one at a time. With all layers on it the size was found
    equal to what llama.cpp's scheduler gives a GPU without tricks of its own; with some of them it
    is within 10 % mostly.
    """
    refuse(shape, setup)
    if gpu_layers is None or setup.n_tokens < OFFLOADED_FROM:
        gpu_layers, cpu_experts = shape.n_layers + 1, 0
    n_cpu_layers = max(shape.n_layers + 1 - gpu_layers, 0)
    lent = {
        tensor.name: tensor.bytes
        for tensor in (stored.tensors if stored else ())
        if 0 <= tensor.layer < n_cpu_layers
        or (0 <= tensor.layer < cpu_experts and is_expert(tensor.name))
        or (tensor.layer < 0 and not gpu_layers)
        or (n_cpu_layers and tensor.name == "rope_freqs.weight")
    }
    return _terms(
        peak(on_gpu(_graph(Question.of(shape, setup)), lent, n_cpu_layers), GPU_ALIGNMENT)
    )


def host_compute_terms(shape: ModelShape, setup: LlamaCppSetup) -> tuple[Term, ...]:
    """Tensors in the compute buffer in system memory beside a GPU that holds all layers.

    Raises
    ------
    ValueError
        If llama.cpp refuses the set-up.
    """
    refuse(shape, setup)
    return _terms(peak(beside_gpu(_graph(Question.of(shape, setup))), CPU_ALIGNMENT))


def output_terms(shape: ModelShape, setup: LlamaCppSetup) -> tuple[Term, ...]:
    """Room for the logits of the last token of each sequence, out of the graph's buffer.

    It grows to as many rows as a batch asks logits for, for instance to measure perplexity.
    """
    refuse(shape, setup)
    n = setup.sequences
    return (
        Term(
            kind="overhead",
            name="output buffer",
            bytes=4 * n * shape.vocabulary_size,
            formula=f"{n} sequence{'s' if n > 1 else ''} × {shape.vocabulary_size:,} × 4 B",
        ),
    )


def _terms(full: Peak) -> tuple[Term, ...]:
    """List what the buffer holds, tensors of one kind together."""
    sizes: Counter[str] = Counter()
    formulas: dict[str, Counter[str]] = defaultdict(Counter)
    for node in full.alive:
        sizes[node.label] += node.bytes
        formulas[node.label][node.formula] += 1
    if full.gap_bytes:
        sizes["gaps"], formulas["gaps"] = full.gap_bytes, Counter([f"{full.gap_bytes:,} B"])
    return tuple(
        Term(
            kind="compute",
            name=name,
            bytes=n_bytes,
            formula=" + ".join(f"{n} × {f}" if n > 1 else f for f, n in formulas[name].items()),
            why=WHY.get(name, ""),
        )
        for name, n_bytes in sizes.most_common()
    )
