"""ggml's graph allocator: where every tensor goes, and how far the buffer reaches at its fullest.

After ggml-alloc.c at llama.cpp commit 0c1e57098: inputs first, then one tensor after the other into
the tightest gap that holds it, or over a source that nobody else reads any more; what has been read
for the last time is free again.
"""

from collections import Counter
from dataclasses import dataclass

from quantcore.memory.llama_cpp.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Peak:
    """The buffer at its fullest: `bytes` from its start to the end of the last tensor in it."""

    bytes: int
    alive: tuple[Node, ...]  # tensors that it holds at that moment

    @property
    def gap_bytes(self) -> int:
        """Bytes between the tensors, which no tensor of that moment fits into."""
        return self.bytes - sum(node.bytes for node in self.alive)


def peak(graph: Graph, alignment: int = 32) -> Peak:
    """Allocate a graph, as ggml does before it computes it; 32 bytes is the CPU's alignment."""
    return _Allocation(graph, alignment).run()


class _Allocation:
    """One pass over the graph."""

    def __init__(self, graph: Graph, alignment: int) -> None:
        self.graph, self.alignment = graph, alignment
        self.gaps: list[list[int]] = [[0, 1 << 62]]  # [start, bytes], by start; the last is open
        self.place: dict[Node, int] = {}  # of every tensor that holds memory
        self.size: dict[Node, int] = {}
        self.n_readers: Counter[Node] = Counter()
        self.n_views: Counter[Node] = Counter()
        self.peak = Peak(0, ())

    def run(self) -> Peak:
        for node in self.graph.inputs:
            self.allocate(node)
        for node in self.graph.nodes:
            self.n_readers.update(node.sources)
            if node.root:
                self.n_views[node.root] += 1
        for node in self.graph.nodes:
            if not node.root:
                self.allocate(node)
            for source in node.sources:
                self.n_readers[source] -= 1
                self.release(source)
        return self.peak

    def allocate(self, node: Node) -> None:
        size = -(-node.bytes // self.alignment) * self.alignment
        self.size[node] = size
        for source in node.sources if node.in_place else ():
            if self.last_read(source, node):
                self.place[node] = self.place.pop(source)
                return
        self.place[node] = start = self.take(size)
        if start + size > self.peak.bytes:
            self.peak = Peak(start + size, tuple(self.place))

    def last_read(self, source: Node, node: Node) -> bool:
        """Whether `node` may be written over `source`; over a view, ggml never does."""
        return (
            source in self.place
            and not source.is_output
            and source.layout == node.layout
            and self.n_readers[source] == 1
            and not self.n_views[source]
        )

    def release(self, source: Node) -> None:
        """Free what has been read for the last time."""
        if self.n_readers[source] or self.n_views[source]:
            return
        if root := source.root:
            self.n_views[root] -= 1
            if self.n_views[root] or self.n_readers[root]:
                return
            source = root
        if source in self.place and not source.is_output:
            self.free(self.place.pop(source), self.size[source])

    def take(self, size: int) -> int:
        """Find the tightest gap, the open end only where no other will do."""
        fitting = [gap for gap in self.gaps[:-1] if gap[1] >= size]
        gap = min(reversed(fitting), key=lambda gap: gap[1]) if fitting else self.gaps[-1]
        start = gap[0]
        gap[0], gap[1] = start + size, gap[1] - size
        if not gap[1]:
            self.gaps.remove(gap)
        return start

    def free(self, start: int, size: int) -> None:
        """Make a gap, one with its neighbours."""
        at = next(i for i, gap in enumerate(self.gaps) if gap[0] >= start + size)
        if self.gaps[at][0] == start + size:
            size += self.gaps.pop(at)[1]
        if at and sum(self.gaps[at - 1]) == start:
            self.gaps[at - 1][1] += size
        else:
            self.gaps.insert(at, [start, size])
