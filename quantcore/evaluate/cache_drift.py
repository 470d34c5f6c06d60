"""What it costs to keep keys and values in fewer bits, by context length."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from quantcore.evaluate.disturbed import Changes, changes_of, disturbed_steps
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.cache_types import CacheTypes
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDrift(Changes):
    """One cache at one context, against the original weights with nothing rounded."""

    keys: str  # type
    values: str  # type
    rotation: bool  # whether llama.cpp's was asked for
    bytes_per_token: int  # of all layers, scales included


def measure_cache(
    model: Model,
    caches: Sequence[CacheTypes],
    text: str | None = None,
    contexts: Sequence[int] = (512,),
    on_progress: Callable[[Progress[list[CacheDrift]]], None] | None = None,
) -> list[CacheDrift]:
    """Compare caches, on the original weights, with the original that rounds no key or value.

    Parameters
    ----------
    text
        By default the evaluation text that ships with the lab. The text is the same for all
        contexts; with longer ones a scored token sees more of what was kept.
    contexts
        Tokens a chunk, one measurement each.
    on_progress
        Called at each step; an exception that it raises ends the work.

    Returns
    -------
    list
        By context, and within it in the order of `caches`.

    Raises
    ------
    ValueError
        If a cache, a context or the text does not suit the model, or two caches are the same.
    """
    return result_of(measure_cache_steps(model, caches, text, contexts), on_progress)


def measure_cache_steps(
    model: Model,
    caches: Sequence[CacheTypes],
    text: str | None = None,
    contexts: Sequence[int] = (512,),
) -> Iterator[Progress[list[CacheDrift]]]:
    """Do what `measure_cache` does, layer by layer of some chunks; it waits for the end."""
    by_name = {cache.name: cache for cache in caches}
    if len(by_name) < len(caches):
        raise ValueError("Two of these caches are the same.")
    for cache in caches:
        cache.check(model.config)
    text = evaluation_text() if text is None else text
    by_context = {context: cut(model, text, context) for context in contexts}
    return _steps(model, by_name, by_context)


def _steps(model, by_name, by_context) -> Iterator[Progress[list[CacheDrift]]]:
    original = llama_of(model)
    passes = {name: original.with_cache(cache).hidden_by_layer for name, cache in by_name.items()}
    measured: list[CacheDrift] = []
    for i, (context, chunks) in enumerate(by_context.items()):
        for step in disturbed_steps(original, passes, chunks):
            yield Progress((i + step.share) / len(by_context), f"context {context}, {step.stage}")
        for name, tokens in step.known.items():
            cache = by_name[name]
            measured.append(
                CacheDrift(
                    keys=cache.keys,
                    values=cache.values,
                    rotation=cache.rotation,
                    bytes_per_token=cache.bytes_per_token(model.config),
                    **changes_of(tokens, context),
                )
            )
    yield Progress(1.0, "done", measured)
