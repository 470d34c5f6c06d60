"""What llama.cpp fills in before it computes the graph: positions, places in the cache, masks."""

from dataclasses import dataclass

from quantcore.formats import get_format
from quantcore.memory.llama_cpp.graph import F16, F32, I64, Node, given
from quantcore.memory.llama_cpp.setup import LlamaCppSetup


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


def cache_inputs(
    setup: LlamaCppSetup,
    n_cells: int,
    *,
    key_size: int,
    value_size: int,
    widest_value: int,
    positions: Node,
    has_windows: bool,
) -> CacheInputs:
    """Make the inputs of one cache: one for the whole context, one for sliding windows."""
    n_tokens, flash = setup.n_tokens, setup.flash_attention
    mask_dims = ((n_cells, "cells"), (n_tokens, "tokens"))
    n_places = n_tokens * (1 if flash else widest_value)
    return CacheInputs(
        n_cells=n_cells,
        n_streams=setup.n_streams,
        flash=flash,
        has_windows=has_windows,
        key_type=setup.key_type,
        value_type=setup.value_type,
        positions=positions,
        mask=given("attention mask", *mask_dims, item_bytes=F16 if flash else F32),
        key_places=given("inputs", (n_tokens, "tokens"), item_bytes=I64),
        value_places=given("inputs", (n_places, "values"), item_bytes=I64),
        key_rotation=_rotation(setup.key_type, key_size, largest=True),
        value_rotation=_rotation(setup.value_type, value_size, largest=False),
    )


def _rotation(cache_type: str, head_size: int, largest: bool) -> Node | None:
    """Give the matrix that turns heads before they are quantized: 64 wide, for keys the widest."""
    if get_format(cache_type).block_size == 1 or head_size % 64:
        return None
    size = 64
    while largest and head_size % (2 * size) == 0:
        size *= 2
    return given("rotation", (size, "values"), (size, "values"))
