"""A model's shape from the header of a GGUF file, of any architecture.

Sizes are the metadata's, tensors the file's own.
"""

import re

from quantcore.architectures import by_name
from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile
from quantcore.memory.lookup.found_model import FoundModel
from quantcore.memory.lookup.gguf_caches import caches_of, latent_of
from quantcore.memory.lookup.gguf_keys import Keys
from quantcore.memory.weights import StoredWeights, TensorBytes
from quantcore.shape.model_shape import Experts, ModelShape

_NO_MODELS = {
    "clip": "the vision part of a model",
    "mmproj": "the vision part of a model",
    "imatrix": "an importance matrix",
    "adapter": "an adapter",
}


def find_in_gguf(file: GgufFile, name: str, source: str) -> FoundModel:
    """Take a model's sizes from its header; its weights' bytes are exact.

    Raises
    ------
    ModelError
        If the file holds no language model, or sizes are missing or absurd.
    """
    architecture = _architecture(file)
    keys = Keys(file, architecture)
    tensors = {name: tensor.shape for name, tensor in file.tensors.items()}
    predicting = keys.number("nextn_predict_layers", 0, least=0, most=100)
    n_layers = keys.number("block_count", most=1000) - predicting
    hidden_size = keys.number("embedding_length", most=2**17)
    n_heads = keys.number("attention.head_count", 1, least=0, most=2**12) or 1
    experts = _experts(keys, tensors)
    shape = ModelShape(
        name=name,
        architecture=architecture,
        n_layers=n_layers,
        hidden_size=hidden_size,
        feed_forward_size=keys.number("feed_forward_length", 0, least=0)
        or (experts.size if experts else 1),
        n_heads=n_heads,
        n_kv_heads=keys.number("attention.head_count_kv", n_heads, least=0, most=2**12) or n_heads,
        head_size=keys.number("attention.key_length", max(hidden_size // n_heads, 1)),
        vocabulary_size=_vocabulary_size(keys, tensors),
        tied_embedding="output.weight" not in tensors,
        context_length=keys.number("context_length", 2048, most=2**31),
        caches=caches_of(keys, n_layers, hidden_size, n_heads),
        experts=experts,
        latent=latent_of(keys),
        tensors=tensors,
        estimated=""
        if by_name(architecture).caches_known
        else f"the lab does not know the architecture {architecture!r}: its weights are counted "
        "from the file, its cache is taken to be that of ordinary attention",
        source=source,
    )
    stored = _as_stored(file)
    refused = f"llama.cpp does not take the layout of {file.path.name}: {file.refused}."
    notes = _extra_layers(shape, stored, predicting) + ((refused,) if file.refused else ())
    return FoundModel(shape=shape, stored=stored, stored_bytes=stored.total_bytes, notes=notes)


def _architecture(file: GgufFile) -> str:
    architecture, kind = (file.metadata.get(f"general.{key}") for key in ("architecture", "type"))
    for word in (kind, architecture):
        if isinstance(word, str) and word in _NO_MODELS:
            raise ModelError(f"{file.path.name} is {_NO_MODELS[word]}, no language model.")
    if not isinstance(architecture, str) or not re.fullmatch(r"[\w.-]{1,40}", architecture):
        raise ModelError(f"{file.path.name} does not say what architecture it is of.")
    if not file.tensors:
        raise ModelError(f"{file.path.name} holds a vocabulary only, no model.")
    return architecture


def _vocabulary_size(keys: Keys, tensors: dict[str, tuple[int, ...]]) -> int:
    embedding = tensors.get("token_embd.weight", ())
    return embedding[0] if len(embedding) == 2 else keys.number("vocab_size")


def _experts(keys: Keys, tensors: dict[str, tuple[int, ...]]) -> Experts | None:
    count = keys.number("expert_count", 0, least=0, most=2**16)
    if not count:
        return None
    width = keys.number("expert_feed_forward_length", keys.number("feed_forward_length", 1))
    shared_rows = next((s[0] for name, s in tensors.items() if "ffn_up_shexp.w" in name), 0)
    used = keys.number("expert_used_count", most=2**16)
    if used > count:
        raise ModelError(f"{used} experts per token are more than the {count} that there are.")
    return Experts(
        count=count,
        used=used,
        size=width,
        shared=keys.number("expert_shared_count", shared_rows // width, least=0),
        dense_layers=keys.number("leading_dense_block_count", 0, least=0),
    )


def _as_stored(file: GgufFile) -> StoredWeights:
    return StoredWeights(
        tensors=tuple(
            TensorBytes(name=name, shape=t.shape, format=t.type, wanted=None, bytes=t.n_bytes)
            for name, t in file.tensors.items()
        )
    )


def _extra_layers(shape: ModelShape, stored: StoredWeights, count: int) -> tuple[str, ...]:
    extra = sum(stored.layer_bytes(shape.n_layers + i) for i in range(count))
    if not extra:
        return ()
    return (
        f"{extra:,} bytes of the file are layers that predict further tokens; they are counted "
        "among the weights, but have no cache here.",
    )
