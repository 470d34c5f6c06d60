"""The graph shared between a GPU and the CPU.

After ggml_backend_sched_split_graph at llama.cpp commit 0c1e57098. Of a prompt the GPU computes all
layers, also those whose weights lie in system memory: it borrows each matrix, and keys and values,
for the moment in which it needs them. The CPU looks up the tokens. What only CUDA does: its flash
attention reads a cache of another type in F16 copies (ggml_cuda_flash_attn_ext_get_alloc_size), and
experts' results are kept till they are weighted and added up (ggml_backend_cuda_graph_optimize).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quantcore.memory.llama_cpp.graph import CACHE, Graph, Node, new, stored

GPU_ALIGNMENT = 128  # bytes, CUDA's
CPU_ALIGNMENT = 32


def on_gpu(graph: Graph, lent: Mapping[str, int], n_cpu_layers: int) -> Graph:
    """Give the GPU's part: each node, and before it copies of what it reads from elsewhere.

    `lent` are the bytes of matrices in system memory by name; the caches of the first
    `n_cpu_layers` lie there as well.
    """
    split = _Split([], {}, {})
    nodes: list[Node] = []
    copied: set[Node | str] = set()
    after_store = False
    for node in (node for node in graph.nodes if not node.on_host):
        if after_store or (node.weight in lent and (split.handed or split.borrowed)):
            nodes += split.flat()
            split = _Split([], {}, {})
        after_store = node.root is CACHE and node.layer < n_cpu_layers
        split.nodes.append(node)
        split.borrowed |= dict.fromkeys(_borrowed(node, lent, n_cpu_layers, copied), node)
        if not after_store:
            handed = (source for source in node.sources if source.is_input or source.on_host)
            split.handed |= dict.fromkeys(source for source in handed if source not in copied)
        copied |= {*split.handed, node.weight}
    return Graph(nodes=[*nodes, *split.flat()])


@dataclass(slots=True)
class _Split:
    """Nodes that run without a wait, and what must be copied before they start."""

    nodes: list[Node]
    borrowed: dict[Node, Node]  # by whom it is read, and free again then
    handed: dict[Node, None]

    def flat(self) -> Iterator[Node]:
        yield from (*self.borrowed, *self.handed)
        for node in self.nodes:
            yield from (*node.halves, node)
            if read := [
                *node.kept,
                *node.halves,
                *(one for one, by in self.borrowed.items() if by is node),
            ]:
                yield stored(*read)


def _borrowed(
    node: Node, lent: Mapping[str, int], n_cpu_layers: int, copied: set[Node | str]
) -> Iterator[Node]:
    """Copy keys, values and a matrix from system memory."""
    if node.weight in lent and node.weight not in copied:
        yield new("a matrix in system memory", dims=((lent[node.weight], "B"),), item_bytes=1)
    if node.layer < n_cpu_layers:
        yield from node.cached


def beside_gpu(graph: Graph) -> Graph:
    """Give the CPU's part: all inputs, and the embeddings of the tokens."""
    return Graph(nodes=[node for node in graph.nodes if node.on_host], inputs=graph.inputs)
