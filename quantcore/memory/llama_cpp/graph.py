"""A compute graph as far as its allocation goes: sizes, who reads whom, in which order."""

from dataclasses import dataclass, field
from math import prod

F16, F32, I32, I64 = 2, 4, 4, 8  # bytes of a value
Dims = tuple[tuple[int, str], ...]  # ((512, "tokens"), (4096, "values")): a size and what it counts


@dataclass(eq=False, slots=True)
class Node:
    """A tensor of the graph; weights and the KV cache have memory of their own and are left out.

    A view has no memory: it is read out of `root`. An input is filled by the caller before the
    graph runs; an output is read when it has run, and keeps its memory till then.
    """

    label: str
    dims: Dims
    item_bytes: int
    sources: tuple["Node", ...] = ()
    root: "Node | None" = None
    in_place: bool = False  # may be written over a source of the same layout
    contiguous: bool = True
    is_input: bool = False
    is_output: bool = False
    is_stored: bool = False  # memory outside the buffer
    weight: str = ""  # name of the matrix that it multiplies by
    cached: tuple["Node", ...] = ()  # copies of the cache that it needs where that lies elsewhere
    halves: tuple["Node", ...] = ()  # of that cache in F16, which CUDA's flash attention reads
    kept: tuple["Node", ...] = ()  # what CUDA keeps till this is computed, to do both at once
    layer: int = 1 << 30  # of the cache that it reads or writes
    on_host: bool = False  # computed by the CPU even where a GPU holds all layers

    @property
    def layout(self) -> tuple:
        """What two tensors must share for one to be written over the other."""
        sizes = [n for n, _ in self.dims]
        while sizes and sizes[-1] == 1:
            sizes.pop()
        return tuple(sizes), self.item_bytes, self.contiguous

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor."""
        return prod(n for n, _ in self.dims) * self.item_bytes

    @property
    def formula(self) -> str:
        """The product that gives the bytes, in words."""
        factors = [f"{n:,} {word}" for n, word in self.dims if n != 1]
        return " × ".join([*factors, f"{self.item_bytes} B"])


CACHE = Node("KV cache", (), 0, is_stored=True)


@dataclass(eq=False, slots=True)
class Graph:
    """Nodes in the order in which they are computed, inputs in the order of their first use."""

    nodes: list[Node] = field(default_factory=list)
    inputs: list[Node] = field(default_factory=list)
    _seen: set[Node] = field(default_factory=set)

    def expand(self, node: Node) -> Node:
        """Compute `node` next, after all that it needs and that is not computed yet."""
        if node not in self._seen:
            self._seen.add(node)
            for source in node.sources:
                self.expand(source)
            (self.inputs if node.is_input else self.nodes).append(node)
        return node


def given(label: str, *dims: tuple[int, str], item_bytes: int = F32) -> Node:
    """Make an input."""
    return Node(label, dims, item_bytes, is_input=True)


def new(label: str, *sources: Node, dims: Dims, item_bytes: int = F32) -> Node:
    """Make a tensor that needs memory of its own: a product of matrices, chosen rows, a copy."""
    return Node(label, dims, item_bytes, sources)


def over(label: str, *sources: Node) -> Node:
    """Make a tensor like its first source, and written over a source that nobody else reads."""
    return Node(label, sources[0].dims, sources[0].item_bytes, sources, in_place=True)


def view(
    source: Node, *more: Node, dims: Dims | None = None, contiguous: bool | None = None
) -> Node:
    """Look at a tensor another way: another shape, a part of it, turned round."""
    if contiguous is None:
        contiguous = source.contiguous
    root = source.root or source
    return Node(
        source.label,
        source.dims if dims is None else dims,
        source.item_bytes,
        (source, *more) if not source.is_stored else more,
        root,
        contiguous=contiguous,
    )


def stored(*sources: Node) -> Node:
    """Write into the cache, which lies elsewhere."""
    return view(CACHE, *sources)
