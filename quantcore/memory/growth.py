"""How memory grows: the KV cache with tokens and sequences, the compute buffer with the batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from quantcore.memory.estimate import Estimate, Setup, estimate
from quantcore.memory.kv_cache import tokens_that_fill
from quantcore.memory.rules_of_thumb import rules_of_thumb

UNQUANTIZED = ("F32", "F16", "BF16")
CACHE_TYPES = ("F16", "Q8_0", "Q4_0")  # to compare with the set-up's own
MISREAD = 1.05  # times the cache is what a wrong formula says at least, to be worth showing


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGrowth:
    """Bytes of the KV cache at each of some contexts."""

    contexts: tuple[int, ...]  # tokens
    cache_bytes: Mapping[str, tuple[int, ...]]  # by cache type, the set-up's own first
    misread_bytes: Mapping[str, tuple[int, ...]]  # by rule of thumb that says clearly too much
    crossing_tokens: int | None  # from here on larger than the weights; None if never


def same_weights(taken: Estimate, setup: Setup) -> Estimate:
    """Estimate another set-up with the weights of an estimate, whatever type it names."""
    return estimate(taken.shape, setup, taken.stored)


Again = Callable[[Estimate, Setup], Estimate]


def cache_growth(
    taken: Estimate, contexts: Sequence[int], again: Again = same_weights
) -> CacheGrowth:
    """Follow the cache of an estimate over contexts, in several types; no prefix is shared.

    Parameters
    ----------
    contexts
        Tokens, rising.
    again
        What further estimates are asked from, for those who keep them; here and below.
    """
    shape, setup = taken.shape, taken.setup
    types = [
        name
        for name in dict.fromkeys([setup.key_type, *CACHE_TYPES])
        if shape.head_size % 32 == 0 or name in (setup.key_type, "F16")
    ]
    cache_bytes = {
        name: tuple(_cache_bytes(taken, name, context, again) for context in contexts)
        for name in types
    }
    longest = cache_bytes[setup.key_type][-1]
    misread = {
        name: sizes
        for name, sizes in _by_wrong_formulas(taken, contexts, again).items()
        if longest and sizes[-1] > MISREAD * longest
    }
    return CacheGrowth(
        contexts=tuple(contexts),
        cache_bytes=cache_bytes,
        misread_bytes=misread,
        crossing_tokens=tokens_that_fill(
            shape, taken.weights_bytes, setup.sequences, setup.key_type, setup.value_type
        ),
    )


def _cache_bytes(taken: Estimate, cache_type: str, context: int, again: Again) -> int:
    """Bytes of the cache in a type, as the runtime keeps it, or the model itself if it cannot."""
    setup = replace(taken.setup, context=context, shared_prefix=0)
    if cache_type != setup.key_type:
        setup = replace(setup, key_type=cache_type, value_type=cache_type)
    if setup.value_type not in UNQUANTIZED:  # llama.cpp keeps them with flash attention only
        setup = replace(setup, flash_attention=True)
    try:
        return again(taken, setup).kv_cache_bytes
    except ValueError:  # vLLM has no such cache
        return again(taken, replace(setup, runtime="none")).kv_cache_bytes


def _by_wrong_formulas(
    taken: Estimate, contexts: Sequence[int], again: Again
) -> dict[str, tuple[int, ...]]:
    """Bytes by the formulas of articles that get heads, windows or the head size wrong."""
    sizes: dict[str, list[int]] = {}
    for context in contexts:
        there = again(taken, replace(taken.setup, context=context, shared_prefix=0))
        for rule in rules_of_thumb(there):
            if rule.is_cache_formula:
                sizes.setdefault(rule.name, []).append(rule.bytes)
    return {name: tuple(each) for name, each in sizes.items()}


def with_sequences(
    taken: Estimate, counts: Sequence[int], again: Again = same_weights
) -> list[Estimate]:
    """Estimate so many sequences at once, each with the whole context; no prefix is shared.

    Under llama.cpp, where all share one context, it is made as much longer.
    """
    context = taken.setup.context
    together = taken.setup.runtime == "llama.cpp"
    return [
        again(
            taken,
            replace(
                taken.setup,
                sequences=n,
                context=context * n if together else context,
                shared_prefix=0,
            ),
        )
        for n in counts
    ]


def compute_by_batch(
    taken: Estimate, sizes: Sequence[int], again: Again = same_weights
) -> dict[bool, list[int]]:
    """Bytes of llama.cpp's compute buffer by micro-batch, with flash attention and without.

    The batch is as large. Quantized values are kept with flash attention only: there is no other.
    """
    ways = (True, False) if taken.setup.value_type in UNQUANTIZED else (True,)
    return {
        flash: [
            again(
                taken, replace(taken.setup, batch=n, ubatch=n, flash_attention=flash)
            ).compute_bytes
            for n in sizes
        ]
        for flash in ways
    }
