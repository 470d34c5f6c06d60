"""What tokenizers do to a text before they cut it: written, or refused, never lost."""

import json

import numpy as np
import pytest
from tokenizers import normalizers, pre_tokenizers, processors

from quantcore import ModelError, open_model, plan
from quantcore.cli import main
from quantcore.io.gguf import read_gguf
from quantcore.recipe.quantize import quantize
from tests.support.gguf_bytes import with_metadata
from tests.support.tokenizer_folders import (
    METASPACE,
    PREPEND,
    SPACES,
    sentence_piece,
    with_tokenizer,
)
from tests.support.toy_model import write_folder

TEXT = "the once on the host é🚀 then once"


def as_gguf(folder):
    model, path = open_model(folder), folder.with_suffix(".gguf")
    quantize(model, plan(model, "F32"), path)
    return path


@pytest.mark.parametrize("kind", METASPACE)
def test_a_space_in_front_is_written_or_not(tmp_path, kind):
    *how, first = METASPACE[kind]
    folder = sentence_piece(tmp_path / "toy", *how)
    path = as_gguf(folder)
    assert read_gguf(path).metadata["tokenizer.ggml.add_space_prefix"] is first
    one, other = (open_model(each).tokenizer.encode(TEXT) for each in (folder, path))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer"),
    [
        (normalizers.Sequence([normalizers.NFKC(), PREPEND, SPACES]), None),
        (normalizers.Sequence([normalizers.Lowercase(), SPACES]), None),
        (SPACES, pre_tokenizers.Digits(individual_digits=True)),
    ],
)
def test_what_gguf_cannot_say_of_sentence_piece_is_refused(tmp_path, normalizer, pre_tokenizer):
    folder = sentence_piece(tmp_path / "toy", normalizer, pre_tokenizer)
    with pytest.raises(ModelError, match=r"changes a text by '\w+', for which GGUF has no word"):
        as_gguf(folder)
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize("name", ["Lowercase", "NFKC", "StripAccents"])
def test_a_text_that_is_changed_before_bytes_is_refused(tmp_path, name):
    def change(tokenizer):
        tokenizer.normalizer = getattr(normalizers, name)()

    with pytest.raises(ModelError, match=f"changes a text by '{name}'"):
        as_gguf(with_tokenizer(tmp_path / "toy", change))


def test_a_space_before_bytes_is_refused(tmp_path):
    def change(tokenizer):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)

    with pytest.raises(ModelError, match="puts a space before each text"):
        as_gguf(with_tokenizer(tmp_path / "toy", change))


def test_composed_letters_are_told_of(tmp_path, capsys):
    def change(tokenizer):
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()])

    folder = with_tokenizer(tmp_path / "toy", change)
    assert len(open_model(folder).tokenizer.differences) == 1
    assert open_model(write_folder(tmp_path / "plain")).tokenizer.differences == []
    output = str(tmp_path / "out.gguf")
    assert main(["quantize", str(folder), "--type", "F16", "--output", output]) == 0
    assert "(NFC), and llama.cpp does not" in capsys.readouterr().err


@pytest.mark.parametrize("opens", [True, False])
def test_bos_comes_along_that_only_tokenizer_json_knows_of(tmp_path, opens):
    def change(tokenizer):
        if opens:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<s> $A", special_tokens=[("<s>", 257)]
            )

    folder = with_tokenizer(tmp_path / "toy", change)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    del settings["add_bos_token"]
    path.write_text(json.dumps(settings), encoding="utf-8")
    written = as_gguf(folder)
    assert read_gguf(written).metadata["tokenizer.ggml.add_bos_token"] is opens
    assert open_model(folder).tokenizer.adds_bos is open_model(written).tokenizer.adds_bos is opens


def test_merges_are_read_as_llama_cpp_reads_them(tmp_path):
    path = as_gguf(write_folder(tmp_path / "toy"))
    lost = with_metadata(path, {"tokenizer.ggml.merges": ["Ġ t", "a b"]})
    with pytest.raises(ModelError, match="merges 'a' and 'b', and one of the three is not among"):
        open_model(lost)
    tokens = read_gguf(path).metadata["tokenizer.ggml.tokens"]
    more = [*tokens[:-2], "t ", "at "]  # a merge with a further space, and what it makes
    kinds = read_gguf(path).metadata["tokenizer.ggml.token_type"].copy()
    kinds[-2:] = 1
    spaced = {"tokenizer.ggml.tokens": more, "tokenizer.ggml.token_type": kinds}
    assert open_model(with_metadata(path, spaced | {"tokenizer.ggml.merges": ["a t "]}))


def test_a_space_that_llama_cpp_would_put_twice_is_told_of(tmp_path):
    def of(kind):
        return open_model(sentence_piece(tmp_path / kind, *METASPACE[kind][:2])).tokenizer

    (says,) = of("Metaspace first").differences
    assert "puts no further space before a text that begins with one" in says
    assert of("Prepend and Replace").differences == of("Metaspace never").differences == []
