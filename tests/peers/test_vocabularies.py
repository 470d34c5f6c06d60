"""llama.cpp's own vocabulary files, on its own texts and token numbers: make peers.

They lie in its repository (models/ggml-vocab-*.gguf with .inp and .out) and in PyPI's source
package of llama-cpp-python (vendor/llama.cpp/models). LLAMA_CPP_VOCABULARIES names that folder.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from quantcore import ModelError
from quantcore.io.gguf import read_gguf
from quantcore.model.gguf_vocabulary import tokenizer_json
from quantcore.model.tokenizer import Tokenizer

pytestmark = pytest.mark.peers
BETWEEN = "\n__ggml_vocab_test__\n"
VARIABLE = "LLAMA_CPP_VOCABULARIES"
PLACE = os.environ.get(VARIABLE, "")
FILES = sorted(Path(PLACE).glob("ggml-vocab-*.gguf.inp")) if PLACE else []
# Kinds of tokenizer that the lab refuses, by the words of its refusal.
REFUSED = {
    "bert-bge": "of kind 'bert'",
    "gemma-4": "of kind 'gemma4'",
    "qwen35": "cuts text as 'qwen35'",
}


def test_files_are_given(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")
    if not PLACE:
        pytest.skip(f"{VARIABLE} names no folder with llama.cpp's models/ggml-vocab-*")
    assert FILES, f"there is no ggml-vocab-*.gguf.inp in {PLACE}"


@pytest.mark.parametrize("inputs", FILES, ids=lambda path: path.name.split(".")[0])
def test_tokens(inputs):
    name = inputs.name.removeprefix("ggml-vocab-").removesuffix(".gguf.inp")
    metadata = read_gguf(inputs.with_suffix("")).metadata
    if name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[name]):
            tokenizer_json(metadata)
        return
    tokenizer = Tokenizer(*tokenizer_json(metadata))
    texts = inputs.read_bytes().decode("utf-8").split(BETWEEN)[:-1]  # one behind each
    lines = inputs.with_suffix(".out").read_text().splitlines()
    assert len(texts) == len(lines) > 40
    for text, line in zip(texts, lines, strict=True):
        tokens, _ = tokenizer.encode_with_starts(text, measured=True)
        np.testing.assert_array_equal(tokens, [int(each) for each in line.split()], repr(text))
