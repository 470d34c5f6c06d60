"""The graph shared between a GPU, which holds all layers, and the CPU, which only looks up tokens.

After ggml_backend_sched_split_graph at llama.cpp commit 0c1e57098: what the CPU hands over is
copied into the GPU's buffer before the GPU begins.
"""

from quantcore.memory.llama_cpp.graph import Graph, Node

GPU_ALIGNMENT = 128  # bytes, CUDA's
CPU_ALIGNMENT = 32


def on_gpu(graph: Graph) -> Graph:
    """Give the GPU's part: copies of inputs in the order of their first use, then its nodes."""
    own = [node for node in graph.nodes if not node.on_host]
    handed: dict[Node, None] = {}
    for node in own:
        for source in node.sources:
            if source.is_input or source.on_host:
                handed[source] = None
    return Graph(nodes=[*handed, *own])


def beside_gpu(graph: Graph) -> Graph:
    """Give the CPU's part: all inputs, and the embeddings of the tokens."""
    return Graph(nodes=[node for node in graph.nodes if node.on_host], inputs=graph.inputs)
