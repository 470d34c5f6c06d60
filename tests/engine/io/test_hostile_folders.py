"""Broken and hostile model folders: one clear sentence each, at once, and memory stays flat."""

import json
import os
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from quantcore import ModelError, open_model
from quantcore.evaluate.quantized import llama_of
from quantcore.io.strict_json import read_json_object
from tests.support.toy_model import (
    CONFIG,
    tensors,
    write_folder,
    write_raw,
    write_safetensors,
    write_tokenizer,
)

FIRST = "model.embed_tokens.weight"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "toy")


def refused(folder, pattern, work=open_model):
    """Read the sentence that the folder gets; it comes quickly and takes little memory."""
    start = time.process_time()  # of this process: a busy machine makes no difference
    with pytest.raises(ModelError, match=pattern) as caught:
        work(folder)
    seconds = time.process_time() - start
    tracemalloc.start()
    with pytest.raises(ModelError, match=pattern):
        work(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 64 * 2**20
    sentence = str(caught.value)
    assert len(sentence) < 400
    assert "\n" not in sentence
    return sentence


def reshaped(folder, change):
    """Write the weights again with a changed header."""
    path = folder / "model.safetensors"
    stored = path.read_bytes()
    length = int.from_bytes(stored[:8], "little")
    header = json.loads(stored[8 : 8 + length])
    change(header)
    write_raw(path, json.dumps(header).encode(), stored[8 + length :])


@pytest.mark.parametrize("keep", [0, 7, 8, 500, -1])
def test_a_file_cut_off(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "cut off|ends before")


@pytest.mark.parametrize("length", [10 * 2**30, 2**63, 2**64 - 1])
def test_a_header_of_claimed_gigabytes(folder, length):
    write_raw(folder / "model.safetensors", b"{}", length=length)
    refused(folder, "claims a header of")


def test_a_header_that_is_really_long(folder):
    with (folder / "model.safetensors").open("wb") as file:
        file.write((10 * 2**30).to_bytes(8, "little"))
        file.truncate(11 * 2**30)  # a hole: takes no disk
    refused(folder, "too long")


def shape_lies(header):
    header[FIRST]["shape"] = [260, 65]


def shape_overflows(header):
    header[FIRST]["shape"] = [2**62, 2**62]


def shape_is_negative(header):
    header[FIRST]["shape"] = [-260, -64]


def shape_has_a_million_axes(header):
    header[FIRST]["shape"] = [1] * 10**6


def offsets_beyond_the_end(header):
    header[FIRST]["data_offsets"] = [10**12, 10**12 + 260 * 64 * 4]


def offsets_backwards(header):
    header[FIRST]["data_offsets"] = header[FIRST]["data_offsets"][::-1]


def offsets_are_text(header):
    header[FIRST]["data_offsets"] = ["0", "66560"]


def entry_is_a_number(header):
    header[FIRST] = 7


def dtype_is_missing(header):
    del header[FIRST]["dtype"]


def two_overlap(header):
    header["model.norm.weight"]["data_offsets"] = [128, 128 + 256]


@pytest.mark.parametrize(
    ("lie", "pattern"),
    [
        (shape_lies, "do not fill"),
        (shape_overflows, "do not fill"),
        (shape_is_negative, "makes no sense"),
        (shape_has_a_million_axes, "makes no sense"),
        (offsets_beyond_the_end, "ends before"),
        (offsets_backwards, "do not fill"),
        (offsets_are_text, "makes no sense"),
        (entry_is_a_number, "makes no sense"),
        (dtype_is_missing, "makes no sense"),
        (two_overlap, "overlap"),
    ],
)
def test_a_header_that_lies(folder, lie, pattern):
    reshaped(folder, lie)
    refused(folder, pattern)


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        (b"not json", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[1, 2]", "JSON object"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", "nested too deeply"),
        (b'{"a": ' + b"9" * 10**5 + b"}", "not valid JSON"),
        (b"{}", "lack"),
    ],
)
@pytest.mark.parametrize("place", ["model.safetensors", "config.json"])
def test_json_that_is_none(folder, place, header, pattern):
    if place == "config.json":
        (folder / place).write_bytes(header)
        pattern += "|model_type"
    else:
        write_raw(folder / place, header)
    refused(folder, pattern)


@pytest.mark.parametrize(
    "key", [key for key in CONFIG if key not in ("rms_norm_eps", "tie_word_embeddings")]
)
def test_a_config_that_lacks_something(folder, key):
    config = {k: v for k, v in CONFIG.items() if k != key}
    (folder / "config.json").write_text(json.dumps(config))
    if key in ("num_key_value_heads", "max_position_embeddings"):  # these have a usual default
        key = "k_proj" if key == "num_key_value_heads" else None
    if key:
        refused(folder, key)
    else:
        assert open_model(folder).config.context_length == 2048


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**400}, "num_hidden_layers"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "3 KV heads"),
        ({"hidden_size": -64}, "hidden_size"),
        ({"hidden_size": 64.0}, "hidden_size"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"vocab_size": True}, "vocab_size"),
        ({"head_dim": 15}, "15"),
        ({"hidden_size": 128}, "shape"),
        ({"rms_norm_eps": -1}, "rms_norm_eps"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"num_hidden_layers": 1}, "no use for"),
        ({"model_type": "mamba"}, "mamba"),
        ({"model_type": ["llama"]}, "model_type"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"sliding_window": 64}, "sliding_window"),
        ({"quantization_config": {}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "yarn"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, "factor"),
        ({"rope_scaling": "llama3"}, "rope"),
        ({"rope_theta": 1e300}, "rope_theta"),
    ],
)
def test_a_config_that_makes_no_sense(folder, change, pattern):
    (folder / "config.json").write_text(json.dumps(CONFIG | change))
    refused(folder, pattern)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_missing(folder, name):
    (folder / name).unlink()
    refused(folder, f"{name} is missing")
    (folder / name).symlink_to(folder / "nowhere")
    refused(folder, f"{name} is missing")
    (folder / name).unlink()
    (folder / name).symlink_to(folder / name)  # a link to itself
    refused(folder, f"{name} is missing")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pipe_in_place_of_a_file(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)  # opening it would wait for ever
    refused(folder, "not an ordinary file")


def test_links_to_files_are_fine(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert open_model(folder).n_weights


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(folder, bad):
    arrays = tensors()
    arrays["model.layers.1.mlp.up_proj.weight"][3, 5] = bad
    write_safetensors(folder / "model.safetensors", arrays)
    sentence = refused(folder, str(bad), lambda f: llama_of(open_model(f)))
    assert "blk.1.ffn_up.weight" in sentence
    assert "[3, 5]" in sentence


def test_a_dtype_that_the_lab_does_not_read(folder):
    reshaped(folder, lambda header: header[FIRST].update(dtype="I32"))
    refused(folder, "stores weights as I32", lambda f: llama_of(open_model(f)))


def test_a_file_that_shrinks_while_open(folder):
    model = open_model(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    refused(folder, "has changed since", lambda _: model.weights("output_norm.weight"))


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "not a tokenizer"),
        ("{}", "not a tokenizer"),
        ("[" * 10**5, "not a tokenizer"),
        ('{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "no tokens"),
    ],
)
def test_a_tokenizer_that_is_none(folder, text, pattern):
    (folder / "tokenizer.json").write_text(text)
    refused(folder, pattern)


def test_a_tokenizer_that_panics(folder):
    """Rust's panic is an exception that is no `Exception`: it would pass all that catch errors."""
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw["model"]["continuing_subword_prefix"] = "1" * 50
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    refused(folder, "not a tokenizer")


def test_a_text_is_neither_cut_off_nor_filled_up(folder):
    """Whatever tokenizer.json says: transformers switches both off, too."""
    plain = open_model(folder).tokenizer.encode("Once upon a time")
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst",
                         "stride": 0}  # fmt: skip
    raw["padding"] = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None,
                      "pad_id": 0, "pad_type_id": 0, "pad_token": "!"}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    tokenizer = open_model(folder).tokenizer
    np.testing.assert_array_equal(tokenizer.encode("Once upon a time"), plain)
    assert len(plain) > 4


def test_what_the_tokenizers_package_raises_later_is_one_sentence(folder, monkeypatch):
    class Panic(BaseException):
        pass

    def panic(*_, **__):
        raise Panic("range end index 18446744073709551569 out of range")

    tokenizer = open_model(folder).tokenizer
    tokenizer.pieces([0])
    monkeypatch.setattr(tokenizer, "_tokenizer", SimpleNamespace(encode=panic, decode=panic))
    for work in (lambda: tokenizer.encode("a"), lambda: tokenizer.decode([1]),
                 lambda: tokenizer.pieces([1]), lambda: tokenizer.continuation([1])):  # fmt: skip
        with pytest.raises(ModelError, match=r"tokenizer\.json cannot"):
            work()


def test_a_tokenizer_of_another_model(folder):
    write_tokenizer(folder, n_tokens=300)
    refused(folder, "300 tokens but the model only 260")


@pytest.mark.parametrize(
    ("index", "pattern"),
    [
        ({}, "weight_map"),
        ({"weight_map": {}}, "weight_map"),
        ({"weight_map": {FIRST: "../toy/other.safetensors"}}, "not a file beside it"),
        ({"weight_map": {FIRST: "/etc/passwd"}}, "not a file beside it"),
        ({"weight_map": {FIRST: 7}}, "not a file beside it"),
        ({"weight_map": {FIRST: "none.safetensors"}}, "none.safetensors is missing"),
        ({"weight_map": {FIRST: "all.safetensors"}}, "does not say"),
        ({"weight_map": dict.fromkeys([*tensors(), "more"], "all.safetensors")}, "lacks 'more'"),
    ],
)
def test_an_index_that_lies(folder, index, pattern):
    (folder / "model.safetensors").rename(folder / "all.safetensors")
    (folder / INDEX).write_text(json.dumps(index))
    refused(folder, pattern)


def test_a_key_that_comes_twice_among_many(folder):
    """Counting each key among all the others would take hours."""
    keys = ", ".join(f'"k{i}": 0' for i in (*range(100_000), 99_999))
    (folder / "tokenizer.json").write_text(f"{{{keys}}}")
    refused(folder, "'k99999' twice", lambda f: read_json_object(f / "tokenizer.json", 2**26))
