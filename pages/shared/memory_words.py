"""The sentences of the page Memory: numbers in, text out. Sizes are binary: GiB is 2³⁰ bytes."""

from collections.abc import Mapping, Sequence

from pages.shared.units import binary, millions, percent, times
from quantcore.memory import StoredWeights
from quantcore.recipe.types import get_type
from quantcore.shape import ModelShape

HOW_TO_READ_FACTORS = (
    "The formula with this model’s numbers. What counts are the **KV** heads, not all heads; the "
    "head size of config.json, not hidden size / heads; and layers with a window keep the window "
    "only."
)


def total(
    shape: ModelShape, type_name: str, context: int, stored: int, cache: int, compute: int
) -> str:
    """Say what all of it takes, and how much of that is the cache."""
    size = stored + cache + compute
    share = (
        "more for the cache than for the weights"
        if cache > stored
        else f"{percent(cache / size)} of it for the cache"
    )
    what = f"**{shape.name}** in {type_name} with {context:,} tokens"
    return f"{what} takes **{binary(size)}**, {share}."


def how_to_read_total(type_name: str, stored: StoredWeights, cache: int, compute: int) -> str:
    """Give the parts of the total, and say whether the type is a mix."""
    mixed = get_type(type_name).mix
    what = "a mix of llama-quantize" if mixed else "the same format for every matrix"
    return (
        f"{type_name} is {what}. "
        f"Weights {binary(stored.total_bytes)} ({millions(stored.n_weights)} of them at "
        f"{stored.bits_per_weight:.2f} bits, norms in F32), KV cache {binary(cache)}, compute "
        f"buffer about {binary(compute)}. Dashed: sizes that machines come in. The program itself "
        "comes on top."
    )


def fallbacks(type_name: str, taken: Mapping[str, int]) -> str:
    """Say that some matrices cannot take the format that they should."""
    listed = ", ".join(f"{count:,} {name}" for name, count in taken.items())
    return (
        f"In {type_name} rows of some matrices do not divide into the blocks of their format; as "
        f"in llama.cpp they take another one instead: {listed}."
    )


def parts(shape: ModelShape, stored: StoredWeights) -> str:
    """Name the largest part of the weights."""
    sizes = stored.bytes_by_part
    largest = max(sizes, key=sizes.get)
    ends = "one matrix serves both" if shape.tied_embedding else "two matrices serve"
    return (
        f"**{percent(sizes[largest] / stored.total_bytes)}** of the weights’ bytes are {largest}; "
        f"{ends} as embedding and output."
    )


def heads(shape: ModelShape, cache: int, without_groups: int, per_token: int) -> str:
    """Say what sharing keys and values saves."""
    if shape.latent:
        return (
            "One latent vector a token stands for the keys and values of all heads: the cache is "
            f"**{times(without_groups / cache)} times smaller**, {binary(cache)}."
        )
    if shape.n_kv_heads < shape.n_heads:
        pairs = "one pair" if shape.n_kv_heads == 1 else f"{shape.n_kv_heads} pairs"
        return (
            f"{shape.n_heads} heads share {pairs} of keys and values, so the cache is "
            f"**{times(shape.n_heads / shape.n_kv_heads)} times smaller**: {binary(cache)}."
        )
    return f"Every head keeps keys and values of its own: **{binary(per_token)}** a token."


def crossing(tokens: int | None, longest: int, type_name: str, share: float) -> str:
    """Say from which context on the cache is larger than the weights; `share` is at the longest."""
    if tokens is None or tokens > longest:
        return (
            f"Up to {longest:,} tokens the cache stays smaller than the weights in {type_name}: "
            f"**{percent(share)}** of them at most."
        )
    return f"From **{tokens:,} tokens** on the cache is larger than the weights in {type_name}."


def how_to_read_growth(shape: ModelShape, wrong: bool) -> str:
    """Explain the curves."""
    dashed = " Dashed: what a formula says that gets heads, windows or the head size wrong."
    return (
        "Cache by context, both on log scales; the ring is your choice. "
        f"{shape.name} was made for {shape.context_length:,} tokens.{dashed if wrong else ''}"
    )


def models(rows: Sequence[Mapping], context: int) -> str:
    """Compare the known models; rows have model, weights_bytes, cache_bytes."""
    heavier = sum(row["cache_bytes"] > row["weights_bytes"] for row in rows)
    ratio = {row["model"]: row["cache_bytes"] / row["weights_bytes"] for row in rows}
    most, least = max(ratio, key=ratio.get), min(ratio, key=ratio.get)
    return (
        f"With {context:,} tokens, **{heavier} of {len(rows)}** models keep more in the cache than "
        f"in weights; {most} keeps the most beside its weights, {least} the least."
    )
