"""The same words in a file mean the same to llama.cpp: make peers, with requirements-peers.txt."""

import numpy as np
import pytest

from quantcore import open_model, plan
from quantcore.evaluate.quantized import llama_of
from quantcore.recipe.quantize import quantize
from tests.support.gguf_bytes import with_metadata
from tests.support.tokenizer_folders import METASPACE, sentence_piece
from tests.support.toy_model import CONFIG, LLAMA3, write_folder, write_with_biases

pytestmark = pytest.mark.peers
TOKENS = (np.arange(100) % 250).astype(np.int32)
LINEAR = {"llama.rope.scaling.type": "linear"}
FACTOR, OLD = {"llama.rope.scaling.factor": 4.0}, {"llama.rope.scale_linear": 4.0}
SAYINGS = {
    "nothing": ({}, {}),
    "a factor alone": ({}, FACTOR),
    "the older key": ({}, OLD),
    "both keys": ({}, FACTOR | {"llama.rope.scale_linear": 2.0}),
    "linear": ({}, LINEAR | FACTOR),
    "linear by the older key": ({}, LINEAR | OLD),
    "linear without a factor": ({}, LINEAR),
    "none": ({}, {"llama.rope.scaling.type": "none"} | FACTOR),
    "factors of pairs": ({"rope_scaling": LLAMA3}, {}),
    "linear beside factors of pairs": ({"rope_scaling": LLAMA3}, LINEAR | FACTOR),
    "biases": ({"attention_bias": True}, {}),
    "alignment": ({}, {"general.alignment": 256}),
}


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


def folder_of(path, config):
    write = write_with_biases if config.get("attention_bias") else write_folder
    return write(path, config)


@pytest.mark.parametrize("said", SAYINGS)
def test_logits(tmp_path, said):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    config, metadata = SAYINGS[said]
    original, path = open_model(folder_of(tmp_path / "toy", CONFIG | config)), tmp_path / "toy.gguf"
    quantize(original, plan(original, "F32"), path)
    changed = with_metadata(path, metadata)
    again = tmp_path / "again.gguf"  # what the lab makes of such a file
    model = open_model(changed)
    quantize(model, plan(model, "F32"), again)
    ours = llama_of(model).logits(TOKENS)
    for file in (changed, again):
        with llama_cpp.opened(file, CONFIG["vocab_size"], context=128, exact=True) as peer:
            np.testing.assert_allclose(ours, peer.logits(TOKENS), atol=2e-4, err_msg=file.name)
    plain = np.abs(ours - llama_of(original).logits(TOKENS)).max()
    assert (plain > 0.01) == (
        metadata in (FACTOR, OLD, LINEAR | FACTOR, LINEAR | OLD) or "both" in said
    )


@pytest.mark.parametrize("parse_special", [False, True])
def test_control_tokens_in_a_text(tmp_path, parse_special):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model, path = open_model(folder_of(tmp_path / "toy", CONFIG)), tmp_path / "toy.gguf"
    quantize(model, plan(model, "F32"), path)
    model = model.parsing_special() if parse_special else model
    text = "one</s>two <s> the\r\nend</s" * 3
    with llama_cpp.opened(path, CONFIG["vocab_size"], context=128) as peer:
        expected = peer.tokens(text, parse_special)
    tokens, _ = model.tokenizer.encode_with_starts(text, measured=True)
    np.testing.assert_array_equal(tokens, expected)


@pytest.mark.parametrize("kind", METASPACE)
def test_a_space_in_front(tmp_path, kind):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model = open_model(sentence_piece(tmp_path / "toy", *METASPACE[kind][:2]))
    path = tmp_path / "toy.gguf"
    quantize(model, plan(model, "F32"), path)
    text = "the once on the host é🚀 then  once\n the"
    with llama_cpp.opened(path, model.config.vocabulary_size, context=128) as peer:
        np.testing.assert_array_equal(model.tokenizer.encode(text), peer.tokens(text))
