"""A folder in Hugging Face's layout as a model: its config, its tokenizer, and its tensors."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantcore.io import ModelError
from quantcore.io.safetensors import SafetensorsTensor, read_folder
from quantcore.io.strict_json import read_json_object
from quantcore.layouts.reading import with_decoded
from quantcore.layouts.stored_matrix import StoredMatrix
from quantcore.model.config import LlamaConfig, read_config
from quantcore.model.names import expected_shapes, to_gguf, to_hugging_face
from quantcore.model.tokenizer import Tokenizer, read_tokenizer

InFolder = SafetensorsTensor | StoredMatrix


def open_folder(folder: Path) -> tuple[LlamaConfig, Tokenizer, dict[str, InFolder]]:
    """Read config, tokenizer and headers of a folder; the weights stay in it.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with it.
    """
    config, tensors = folder_tensors(folder)
    return config, read_tokenizer(folder), tensors


def folder_tensors(folder: Path) -> tuple[LlamaConfig, dict[str, InFolder]]:
    """Read config and headers of a folder, whatever its tokenizer is.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with them.
    """
    tensors, raw = read_folder(folder), read_json_object(folder / "config.json")
    config = read_config(raw)
    in_files = with_decoded(tensors, raw)
    config = _tied_as_stored(config, in_files)
    return config, _named(in_files, config)


def _tied_as_stored(config: LlamaConfig, in_files: Mapping[str, InFolder]) -> LlamaConfig:
    """Say whether the output is the embedding's matrix: what is stored counts, not the config.

    transformers and llama.cpp keep an output that differs from the embedding, and llama.cpp takes
    the embedding where there is no output.
    """
    embedding, output = (
        in_files.get(to_hugging_face(f"{n}.weight")) for n in ("token_embd", "output")
    )
    if output is None:
        return replace(config, tied_embedding=True)
    if not config.tied_embedding or embedding is None or embedding.shape != output.shape:
        return replace(config, tied_embedding=False)
    step = max(1, 2**20 // output.shape[-1])
    parts = (slice(row, row + step) for row in range(0, output.shape[0], step))
    same = all(np.array_equal(embedding.read(rows), output.read(rows)) for rows in parts)
    return replace(config, tied_embedding=same)


def _named(in_files: Mapping[str, InFolder], config: LlamaConfig) -> dict[str, InFolder]:
    """Give tensors their GGUF names, in order; refuse what is missing, misshapen or unknown."""
    tensors: dict[str, InFolder] = {}
    for name, shape in expected_shapes(config).items():
        stored = in_files.get(to_hugging_face(name))
        if stored is None:
            raise ModelError(
                f"The weights lack {to_hugging_face(name)!r}, which config.json asks for."
            )
        if stored.shape != shape:
            raise ModelError(
                f"{to_hugging_face(name)!r} has shape {list(stored.shape)}, "
                f"but config.json asks for {list(shape)}."
            )
        tensors[name] = stored
    for name in in_files:
        if to_gguf(name) not in tensors and not _needless(name, config):
            raise ModelError(f"The weights hold {name[:80]!r}, which config.json has no use for.")
    return tensors


def _needless(name: str, config: LlamaConfig) -> bool:
    """Allow the tied output once more, and frequencies that the config implies."""
    return name.endswith("rotary_emb.inv_freq") or (
        name == "lm_head.weight" and config.tied_embedding
    )
