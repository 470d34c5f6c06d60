"""Compute buffers of several devices that work on one model under llama.cpp.

What a device needs depends on whether it holds the output, whose logits often fill a buffer most,
and on whether the GPUs work on several parts of a prompt at once: with the whole model on more than
one of them, llama.cpp keeps copies of what is handed from one to the next. How many, was read off
its own answers (tests/golden/llama_cpp_placement.json), and what comes out is at most 10 % below
them, and 12 % and 37 MiB above.
"""

from dataclasses import dataclass, replace

from quantcore.memory import llama_cpp
from quantcore.memory.estimate import Estimate, llama_cpp_setup
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Bytes of buffers, by what a device does."""

    output_bytes: int = 0  # of a device that computes layers and the output
    layers_bytes: int = 0  # of one that computes layers only
    middle_bytes: int = 0  # of a GPU that computes layers only, and neither first nor last
    hidden_bytes: int = 0  # hidden states that are worked on at a time
    mask_bytes: int = 0  # of attention, a mask for each size of cache
    logits_bytes: int = 0  # of the last tokens, always in system memory

    def of_gpu(self, has_output: bool, piped: bool) -> int:
        """Bytes on a GPU that holds layers."""
        if has_output:
            return self.output_bytes + piped * (8 * self.hidden_bytes + 4 * self.mask_bytes)
        return self.middle_bytes + piped * (5 * self.hidden_bytes + 3 * self.mask_bytes)

    def of_host(self, has_output: bool, has_layers: bool, piped: bool) -> int:
        """Bytes in system memory, where at least the embedding is looked up."""
        if has_output:
            return self.output_bytes + self.logits_bytes
        if has_layers:
            return self.layers_bytes + self.logits_bytes
        copies = (5, 4) if piped else (2, 1)
        handed = copies[0] * self.hidden_bytes + copies[1] * self.mask_bytes
        return handed + self.logits_bytes


def buffers_of(found: Estimate) -> Buffers:
    """Find the buffers of an estimate; without llama.cpp there are none."""
    shape, setup = found.shape, found.setup
    if setup.runtime != "llama.cpp":
        return Buffers()
    own = llama_cpp_setup(setup)
    short = replace(shape, vocabulary_size=1)  # as if there were no logits
    layers, hidden = llama_cpp.compute_bytes(short, own), 4 * own.n_ubatch * shape.hidden_size
    return Buffers(
        output_bytes=found.compute_bytes,
        layers_bytes=layers,
        middle_bytes=layers if shape.experts else max(layers - 2 * hidden, hidden),
        hidden_bytes=hidden,
        mask_bytes=_masks(shape, own),
        logits_bytes=found.overhead_bytes,
    )


def _masks(shape: ModelShape, own: llama_cpp.LlamaCppSetup) -> int:
    """Float16 under flash attention, float32 without: tokens worked on times cells."""
    windows = {cache.window for cache in shape.caches if cache.key_values and cache.kind != "chunk"}
    cells = sum(own.window_cells(window) if window else own.cells for window in windows)
    return (2 if own.flash_attention else 4) * own.n_ubatch * cells
