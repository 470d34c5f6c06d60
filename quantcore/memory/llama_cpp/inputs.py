"""What llama.cpp fills in before it computes the graph: positions, places in the cache, masks."""

from dataclasses import dataclass

from quantcore.architectures import by_name
from quantcore.formats import FORMATS
from quantcore.memory.llama_cpp.graph import F16, F32, I32, I64, Graph, Node, given, new
from quantcore.memory.llama_cpp.layer import window_of
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInputs:
    """The inputs that layers with the same cache share."""

    n_cells: int  # for each stream
    n_streams: int
    flash: bool
    has_windows: bool  # the model has two caches, this is one of them
    key_type: str
    value_type: str
    positions: Node
    mask: Node
    key_places: Node
    value_places: Node
    key_rotation: Node | None
    value_rotation: Node | None


@dataclass(frozen=True, slots=True)
class States:
    """Where the states of the sequences lie, and how many there are."""

    places: Node
    n_sequences: int

    def read(self, graph: Graph, n_values: int) -> Node:
        """Copy states out of the cache."""
        dims = ((n_values, "values"), (self.n_sequences, "sequences"))
        return graph.expand(new("states", self.places, dims=dims))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All inputs of a graph. llama.cpp keeps room for images even where there are none."""

    tokens: Node
    images: Node
    positions: Node
    caches: dict[int | None, CacheInputs]  # by the window of the layers
    states: States
    chosen: Node  # tokens whose logits are wanted


def model_inputs(shape: ModelShape, setup: LlamaCppSetup) -> Inputs:
    """Make the inputs of a full micro-batch."""
    tokens = (setup.n_tokens, "tokens")
    positions = given("inputs", tokens, item_bytes=I32)
    sequences = (setup.sequences, "sequences")
    return Inputs(
        tokens=given("inputs", tokens, item_bytes=I32),
        images=given("room for images", (shape.hidden_size, "values"), tokens),
        positions=positions,
        caches={
            window: _cache_inputs(shape, setup, window, positions)
            for window in {window_of(shape, cache) for cache in shape.caches}
        },
        states=States(given("inputs", sequences, item_bytes=I32), setup.sequences),
        chosen=given("inputs", (setup.n_ubatch, "tokens"), item_bytes=I32),
    )


def _cache_inputs(
    shape: ModelShape, setup: LlamaCppSetup, window: int | None, positions: Node
) -> CacheInputs:
    """Make the inputs of one cache: that of the whole context, or that of sliding windows."""
    flash, tokens = setup.flash_attention, (setup.n_tokens, "tokens")
    n_cells = setup.window_cells(window) if window else setup.cells
    widest = max(cache.value_values for cache in shape.caches)
    if by_name(shape.architecture).scaled_queries and not window:
        positions = given("inputs", tokens)
    places = tokens if flash else (setup.n_tokens * widest, "values")
    return CacheInputs(
        n_cells=n_cells,
        n_streams=setup.n_streams,
        flash=flash,
        has_windows=any(window_of(shape, cache) for cache in shape.caches),
        key_type=setup.key_type,
        value_type=setup.value_type,
        positions=positions,
        mask=given("attention mask", (n_cells, "cells"), tokens, item_bytes=F16 if flash else F32),
        key_places=given("inputs", tokens, item_bytes=I64),
        value_places=given("inputs", places, item_bytes=I64),
        key_rotation=_rotation(setup.key_type, shape.head_size, largest=True),
        value_rotation=_rotation(setup.value_type, shape.head_size, largest=False),
    )


def _rotation(cache_type: str, head_size: int, largest: bool) -> Node | None:
    """Give the matrix that turns heads before they are quantized: 64 wide, for keys the widest."""
    if FORMATS[cache_type].block_size == 1 or head_size % 64:
        return None
    size = 64
    while largest and head_size % (2 * size) == 0:
        size *= 2
    return given("rotation", (size, "values"), (size, "values"))
