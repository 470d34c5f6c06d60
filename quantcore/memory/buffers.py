"""Compute buffers of several devices that work on one model under llama.cpp.

What a device needs depends on whether it holds the output, whose logits often fill a buffer most,
on what it must borrow from system memory, and on whether GPUs work on several parts of a prompt at
once: with the whole model on more than one of them, llama.cpp keeps copies of what is handed from
one to the next. How many, was read off its own answers (tests/golden/llama_cpp_placement.json), and
what comes out is at most 10 % below them, and 15 % and 48 MiB above.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from quantcore.memory import llama_cpp
from quantcore.memory.estimate import Estimate, llama_cpp_setup
from quantcore.memory.llama_cpp.question import Question
from quantcore.memory.term import Term
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Bytes of buffers, by what a device does."""

    cpu_bytes: int = 0  # of a CPU that computes all
    cpu_layers_bytes: int = 0  # of a CPU that computes layers, not the output
    gpu_whole_bytes: int = 0  # of a GPU that holds all layers and the output
    gpu_middle_bytes: int = 0  # of one that holds layers only
    beside_bytes: int = 0  # in system memory, beside a GPU that holds all
    hidden_bytes: int = 0  # hidden states that are worked on at a time
    mask_bytes: int = 0  # of attention, a mask for each size of cache
    logits_bytes: int = 0  # of the last tokens, always in system memory
    gpu_part: Callable[[], int] = lambda: 0  # bytes of a GPU with the last layers and the output

    def of_gpu(self, has_output: bool, whole: bool, several: bool) -> int:
        """Bytes on a GPU that holds layers; `whole`: nothing but the embedding is elsewhere."""
        hidden, masks = (8, 4) if has_output else (5, 3)
        piped = hidden * self.hidden_bytes + masks * self.mask_bytes if whole and several else 0
        if not has_output:
            return self.gpu_middle_bytes + piped
        return (self.gpu_whole_bytes if whole else self.gpu_part()) + piped

    def of_host(self, has_output: bool, whole: bool, several: bool) -> int:
        """Bytes in system memory, where at least the embedding is looked up."""
        if has_output:
            return self.cpu_bytes + self.logits_bytes
        if not whole:
            return self.cpu_layers_bytes + self.logits_bytes
        piped = 5 * self.hidden_bytes + 4 * self.mask_bytes
        return (piped if several else self.beside_bytes) + self.logits_bytes


def buffers_of(taken: Estimate) -> Buffers:
    """Find the buffers of an estimate; without llama.cpp there are none."""
    if taken.setup.runtime != "llama.cpp":
        return Buffers()
    own = llama_cpp_setup(taken.setup)

    @cache
    def part() -> int:
        """Find the most that a GPU needs that borrows matrices of the first layers."""
        some = (taken.shape.n_layers, 2)
        return max(_gpu_bytes(taken.shape, own, taken.stored, layers) for layers in some)

    shared = _without_types(Question.of(taken.shape, own))
    logits = taken.overhead_bytes
    return replace(shared, cpu_bytes=taken.compute_bytes, logits_bytes=logits, gpu_part=part)


@lru_cache(maxsize=128)
def _without_types(question: Question) -> Buffers:
    """Find what does not depend on the weights' types: asked again for each of them."""
    shape, own = question.shape, question.own
    short = replace(shape, vocabulary_size=1)  # as if there were no logits
    layers, hidden = llama_cpp.compute_bytes(short, own), 4 * own.n_ubatch * shape.hidden_size
    return Buffers(
        cpu_layers_bytes=layers,
        gpu_whole_bytes=_gpu_bytes(shape, own),
        gpu_middle_bytes=layers if shape.experts else max(layers - 2 * hidden, hidden),
        beside_bytes=_sum(llama_cpp.host_compute_terms(shape, own)),
        hidden_bytes=hidden,
        mask_bytes=_masks(shape, own),
    )


def _gpu_bytes(shape, own, stored=None, layers=None) -> int:
    return _sum(llama_cpp.gpu_compute_terms(shape, own, stored, layers))


def _sum(terms: tuple[Term, ...]) -> int:
    return sum(term.bytes for term in terms)


def _masks(shape: ModelShape, own: llama_cpp.LlamaCppSetup) -> int:
    """Float16 under flash attention, float32 without: tokens worked on times cells."""
    windows = {cache.window for cache in shape.caches if cache.key_values and cache.kind != "chunk"}
    cells = sum(own.window_cells(window) if window else own.cells for window in windows)
    return (2 if own.flash_attention else 4) * own.n_ubatch * cells
