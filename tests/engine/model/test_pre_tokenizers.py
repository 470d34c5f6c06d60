"""Every name in tokenizer.ggml.pre gives the tokens that llama.cpp made of the same text."""

import json
from unicodedata import category

import numpy as np
import pytest
import tokenizers

from quantcore import ModelError
from quantcore.model.gguf_vocabulary import tokenizer_json
from quantcore.model.pre_tokenizers import FAMILY, PRE_TOKENIZERS
from quantcore.model.tokenizer import Tokenizer
from tests.support.places import GOLDEN

GOLDEN = json.loads((GOLDEN / "cuts.json").read_text(encoding="utf-8"))

# llama.cpp cannot say combining marks in these patterns; the models' own tokenizers can.
KEEP_MARKS = ("tekken", "gpt-4o")


def _metadata(name):
    tokens = GOLDEN["tokens"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": [*tokens, "<s>", "</s>"],
        "tokenizer.ggml.token_type": np.array([1] * len(tokens) + [3, 3], np.int32),
        "tokenizer.ggml.merges": GOLDEN["merges"],
        "tokenizer.ggml.bos_token_id": len(tokens),
    }


@pytest.mark.parametrize("name", FAMILY)
def test_tokens_are_those_of_llama_cpp(name):
    tokenizer, expected = Tokenizer(*tokenizer_json(_metadata(name))), GOLDEN["by_name"][name]
    for text, tokens in zip(GOLDEN["texts"], expected["tokens"], strict=True):
        if FAMILY[name] in KEEP_MARKS and any(category(sign)[0] == "M" for sign in text):
            continue
        encoded = tokenizer.encode(text)
        assert tokenizer.pieces(encoded) == tokenizer.pieces(tokens)
        assert encoded.tolist() == tokens
        assert tokenizer.decode(encoded) == text
    assert tokenizer.adds_bos == expected["adds_bos"]


@pytest.mark.parametrize("name", KEEP_MARKS)
def test_marks_stay_with_their_letters(name):
    cuts = tokenizers.Tokenizer.from_str(tokenizer_json(_metadata(name))[0]).pre_tokenizer
    text = "हिन्दी वाक्य HTTPServer"
    assert [text[slice(*place)] for _, place in cuts.pre_tokenize_str(text)] == (
        ["हिन्दी", " वाक्य", " HTTPServer"]
    )


def test_each_family_cuts_in_its_own_way():
    ways = {json.dumps(GOLDEN["by_name"][name]["tokens"]) for name in PRE_TOKENIZERS}
    assert len(ways) == len(PRE_TOKENIZERS)


@pytest.mark.parametrize("name", ["strange", ["llama-bpe"], 7])
def test_an_unknown_name_is_one_sentence(name):
    with pytest.raises(ModelError, match=r"^The file's tokenizer cuts text as [^\n]*unknown here"):
        tokenizer_json(_metadata(name))
