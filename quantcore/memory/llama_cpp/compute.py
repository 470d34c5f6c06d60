"""The compute buffer: what lies in it at the moment at which it is fullest."""

from collections import Counter, defaultdict

from quantcore.memory.llama_cpp.allocator import peak
from quantcore.memory.llama_cpp.model_graph import build
from quantcore.memory.llama_cpp.refusals import refuse
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.memory.term import Term
from quantcore.shape.model_shape import ModelShape

WHY = {
    "logits": "a score for every word of the vocabulary, for each token of the micro-batch",
    "attention scores": "without flash attention every token's score with every cell is held",
    "attention mask": "which cells each token may see",
    "room for images": "kept for embeddings that come in place of text, even where none do",
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
    full = peak(build(shape, setup))
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


def compute_bytes(shape: ModelShape, setup: LlamaCppSetup) -> int:
    """Bytes of the compute buffer."""
    refuse(shape, setup)
    return peak(build(shape, setup)).bytes


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
