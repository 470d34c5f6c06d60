"""Small models unlike the shipped one in a single respect each, as folders and GGUF files."""

from unittest.mock import patch

import numpy as np

from quantcore import open_model, plan
from quantcore.recipe.quantize import quantize
from tests.support.sentence_piece import sentence_piece_metadata
from tests.support.toy_model import CONFIG, write_folder

WIDE = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
# As in SmolLM2-135M, only ffn_down has rows that K-quants can store.
ROWS_OF_576 = CONFIG | {
    "hidden_size": 576, "intermediate_size": 256, "num_attention_heads": 9,
    "num_key_value_heads": 1,
}  # fmt: skip
FOLDERS = {
    "rows-of-576": ROWS_OF_576,
    "one-layer": WIDE | {"num_hidden_layers": 1},
    "untied": WIDE | {"tie_word_embeddings": False},
}
NAMES = (*FOLDERS, "quantized.gguf", "sentence-piece.gguf")


def write_other_shapes(folder, elsewhere):
    """Write all models of `NAMES` into a folder; what files are made of lies elsewhere."""
    for name, config in FOLDERS.items():
        write_folder(folder / name, config)
    metadata = _typed(sentence_piece_metadata())
    n_tokens = len(metadata["tokenizer.ggml.tokens"])
    source = open_model(write_folder(elsewhere / "wide", WIDE | {"vocab_size": n_tokens}))
    quantize(source, plan(source, "Q4_K_M"), folder / "quantized.gguf")
    with patch("quantcore.recipe.quantize.vocabulary_metadata", lambda *_: metadata):
        quantize(source, plan(source, "Q8_0"), folder / "sentence-piece.gguf")


def _typed(metadata):
    """Give numbers and their lists the types that a file has them in."""
    types = {"token_type": np.int32, "scores": np.float32}
    return {
        key: np.array(value, types[key.rpartition(".")[2]])
        if isinstance(value, list) and not isinstance(value[0], str)
        else np.uint32(value)
        if isinstance(value, int)
        else value
        for key, value in metadata.items()
    }
