"""The shape of a model whose architecture the lab does not know, measured on its tensors.

Weights are exact and layers are counted; what a token adds to the cache are the rows of each
layer's key and value matrices. The rest is config.json's, where it says it, or guessed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quantcore.io import ModelError
from quantcore.memory.lookup.stored_names import FolderTensor, tensors_of
from quantcore.shape.model_shape import LatentAttention, LayerCache, ModelShape

MAX_LAYERS = 1000
_USUAL_HEAD = 128
_USUAL_CONTEXT = 2048
_ESTIMATED = (
    "{}; weights are counted from the tensors’ shapes, the cache from the rows of their key and "
    "value matrices{}, and the rest is estimated"
)
Shapes = Mapping[str, tuple[int, ...]]


def measured_shape(
    guess: ModelShape | None, language: list[FolderTensor], name: str, source: str, why: str
) -> ModelShape:
    """Put together what tensors say for certain and what `guess`, a Llama's shape, says besides.

    Parameters
    ----------
    guess
        What config.json would mean for a Llama; None where it cannot be read so.
    why
        The reason why there is no certainty, for `estimated`.

    Raises
    ------
    ModelError
        If there are no layers or no embedding among the tensors.
    """
    tensors = tensors_of(language)
    n_layers = 1 + max((one.layer for one in language), default=-1)
    embedding = tensors.get("token_embd.weight", ())
    if not 0 < n_layers <= MAX_LAYERS or len(embedding) != 2:
        raise ModelError(
            f"{name} has no tensors that look like a language model’s: layers and an embedding; "
            f"{why}."
        )
    vocabulary_size, hidden_size = embedding
    head = _head_size(guess, tensors)
    caches = tuple(_cache(tensors, layer, guess) for layer in range(n_layers))
    n_none = sum(cache.kind == "none" for cache in caches)
    without = f" ({n_none} of {n_layers} layers have none that the lab knows)" if n_none else ""
    key_values = max(cache.key_values for cache in caches)
    measured: dict[str, Any] = {
        "n_layers": n_layers,
        "hidden_size": hidden_size,
        "vocabulary_size": vocabulary_size,
        "head_size": head,
        "n_kv_heads": max(key_values // head, 1),
        "tied_embedding": "output.weight" not in tensors,
        "caches": caches,
        "latent": (guess and guess.latent) or _latent(tensors, head),
        "tensors": tensors,
        "estimated": _ESTIMATED.format(why, without),
    }
    if guess:
        return replace(guess, **measured)
    query = _rows(tensors, 0, "attn_q") or hidden_size
    return ModelShape(
        name=name,
        architecture="unknown",
        feed_forward_size=_rows(tensors, 0, "ffn_up") or 4 * hidden_size,
        n_heads=max(query // head, 1),
        context_length=_USUAL_CONTEXT,
        source=source,
        **measured,
    )


def _rows(tensors: Shapes, layer: int, role: str) -> int:
    shape = tensors.get(f"blk.{layer}.{role}.weight", ())
    return shape[0] if len(shape) == 2 else 0


def _head_size(guess: ModelShape | None, tensors: Shapes) -> int:
    """Size of a head: the key norm's where there is one, config.json's, or the usual."""
    norm = next((shape for name, shape in tensors.items() if "attn_k_norm." in name), ())
    n_keys = next((_rows(tensors, i, "attn_k") for i in range(MAX_LAYERS)
                   if _rows(tensors, i, "attn_k")), 0)  # fmt: skip
    if len(norm) == 1 and n_keys % norm[0] == 0 and norm[0] < 1024:
        return norm[0]
    if guess:
        return guess.head_size
    return next((size for size in (_USUAL_HEAD, 64) if n_keys % size == 0), max(n_keys, 1))


def _latent(tensors: Shapes, head: int) -> LatentAttention | None:
    """Measure latent attention where config.json does not give it."""
    layer = next((i for i in range(MAX_LAYERS) if _rows(tensors, i, "attn_kv_a_mqa")), None)
    if layer is None:
        return None
    rows = _rows(tensors, layer, "attn_kv_a_mqa")
    kv_size = tensors.get(f"blk.{layer}.attn_kv_a_norm.weight", (rows,))[0]
    return LatentAttention(
        kv_size=kv_size,
        rope_size=rows - kv_size,
        query_size=_rows(tensors, layer, "attn_q_a") or None,
        key_size=head,
        value_size=head,
    )


def _cache(tensors: Shapes, layer: int, guess: ModelShape | None) -> LayerCache:
    """Say what one layer keeps, by its matrices."""
    if latent := _rows(tensors, layer, "attn_kv_a_mqa"):
        return LayerCache(kind="latent", key_values=latent)
    keys, values = _rows(tensors, layer, "attn_k"), _rows(tensors, layer, "attn_v")
    if not keys and (fused := max(tensors.get(f"blk.{layer}.attn_qkv.weight", (0,)))):
        output = tensors.get(f"blk.{layer}.attn_output.weight", (0, 0))
        keys = values = max(fused - output[-1], 0) // 2
    if not keys:
        return LayerCache(kind="none")
    like = guess.caches[layer] if guess and layer < len(guess.caches) else None
    window = like.window if like else None
    kind = like.kind if like and like.kind in ("full", "window", "chunk") else "full"
    return LayerCache(kind=kind, key_values=keys, value_values=values or keys, window=window)
