"""GGUF out and in: what is written comes back as the same model; nothing half-written stays."""

import errno
import json
import os

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers

from quantcore import FORMATS, ModelError, open_model, plan
from quantcore.cli import main
from quantcore.evaluate.text import evaluation_text
from quantcore.formats.ggml_types import GGML_TYPES, in_little_endian
from quantcore.io.gguf import read_gguf
from quantcore.model.llama import Llama
from quantcore.recipe.quantize import quantize, quantize_steps
from tests.support.gguf_bytes import gguf_bytes, with_metadata
from tests.support.toy_model import CONFIG, write_folder
from tests.support.with_matrix import quantized, round_trip

NO_LENGTHS = {"llama.attention.key_length": None, "llama.attention.value_length": None}
TRICKY = " Ünïcode 123 — 🚀 don't\n\n  x\tHe'll pay 3.50 €, 中文 <|end|> done"
ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def written(model, path, file_type="F32", **options):
    quantize(model, plan(model, file_type, **options), path)
    return open_model(path)


@pytest.fixture(scope="module")
def shipped():
    return open_model()


@pytest.fixture
def toy(tmp_path):
    return open_model(write_folder(tmp_path / "toy"))


def test_the_shipped_model_comes_back(shipped, tmp_path):
    again = written(shipped, tmp_path / "model.gguf")
    for name in shipped.tensors:
        np.testing.assert_array_equal(shipped.weights(name), again.weights(name), err_msg=name)
    text = evaluation_text()[:20_000] + TRICKY
    ids = shipped.tokenizer.encode(text)
    np.testing.assert_array_equal(ids, again.tokenizer.encode(text))
    assert shipped.tokenizer.decode(ids) == again.tokenizer.decode(ids)
    for what in ("bos_id", "eos_id", "adds_bos", "vocabulary_size"):
        assert getattr(shipped.tokenizer, what) == getattr(again.tokenizer, what)
    assert (again.name, again.n_weights) == ("model.gguf", shipped.n_weights)


def test_quantized_tensors_are_those_of_the_plan(shipped, tmp_path):
    planned = plan(shipped, "Q4_K_M")
    again = written(shipped, tmp_path / "model.gguf", "Q4_K_M")
    assert {t.name: t.type for t in planned.tensors} == {
        name: tensor.dtype for name, tensor in again.tensors.items()
    }
    for tensor in planned.tensors:
        weights = shipped.weights(tensor.name)
        expected = FORMATS[tensor.type].round_trip(weights) if weights.ndim > 1 else weights
        np.testing.assert_array_equal(expected, again.weights(tensor.name), err_msg=tensor.name)
    assert (tmp_path / "model.gguf").stat().st_size > planned.bytes


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tie_word_embeddings": False},
        {"rope_theta": 500_000.0, "rope_scaling": ROPE},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"model_type": "mistral"},
    ],
)
def test_logits_are_the_same(more, tmp_path):
    config = CONFIG | more
    folder = write_folder(tmp_path / "toy", config)
    if not config["tie_word_embeddings"]:
        from tests.support.toy_model import tensors, write_safetensors

        arrays = tensors(config)
        arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"][::-1].copy()
        write_safetensors(folder / "model.safetensors", arrays)
    original = open_model(folder)
    again = written(original, tmp_path / "toy.gguf")
    tokens = np.arange(100) % 250
    one, other = (
        Llama(m.config, {name: m.weights(name) for name in m.tensors}).logits(tokens)
        for m in (original, again)
    )
    np.testing.assert_allclose(one, other, atol=2e-5)


def test_rows_of_queries_and_keys_lie_as_llama_cpp_wants_them(toy, tmp_path):
    written(toy, tmp_path / "toy.gguf")
    stored = read_gguf(tmp_path / "toy.gguf").tensors
    query, head = toy.weights("blk.0.attn_q.weight"), toy.config.head_size
    rows = stored["blk.0.attn_q.weight"].read()
    np.testing.assert_array_equal(rows[0], query[0])
    np.testing.assert_array_equal(rows[1], query[head // 2])
    np.testing.assert_array_equal(rows[2], query[1])
    value = toy.weights("blk.0.attn_v.weight")
    np.testing.assert_array_equal(stored["blk.0.attn_v.weight"].read(), value)


def test_qwen_keeps_its_rows(tmp_path):
    config = CONFIG | {"model_type": "qwen2"}
    folder = write_folder(tmp_path / "toy", config)
    from tests.support.toy_model import tensors, write_safetensors

    arrays = tensors(config)
    rng = np.random.default_rng(1)
    for layer in range(config["num_hidden_layers"]):
        for part, size in (("q", 64), ("k", 32), ("v", 32)):
            bias = rng.normal(size=size).astype(np.float32)
            arrays[f"model.layers.{layer}.self_attn.{part}_proj.bias"] = bias
    write_safetensors(folder / "model.safetensors", arrays)
    original = open_model(folder)
    again = written(original, tmp_path / "toy.gguf")
    assert again.config.attention_bias
    stored = read_gguf(tmp_path / "toy.gguf").tensors
    for name in ("blk.0.attn_q.weight", "blk.1.attn_k.bias"):
        np.testing.assert_array_equal(stored[name].read(), original.weights(name))


def test_a_sentence_piece_vocabulary_comes_back(tmp_path):
    folder = write_folder(tmp_path / "toy")
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = ["▁ t", "h e", "▁t he", "o n", "▁ on", "▁on ce"[:0] + "c e", "▁on ce"]
    letters = sorted({c for merge in merges for c in merge.replace(" ", "")})
    pieces += [letter for letter in letters if letter not in pieces]
    pieces += [merge.replace(" ", "") for merge in merges]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    inner = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[tuple(merge.split(" ")) for merge in merges],
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    (folder / "tokenizer.json").write_text(inner.to_str(), encoding="utf-8")
    config = CONFIG | {"vocab_size": len(pieces)}
    write_folder_config(folder, config)
    original = open_model(folder)
    again = written(original, tmp_path / "toy.gguf")
    text = "the once on the host é🚀 then once"
    ids = original.tokenizer.encode(text)
    assert len(ids) < len(text)
    np.testing.assert_array_equal(ids, again.tokenizer.encode(text))
    assert again.tokenizer.decode(ids) == text


def write_folder_config(folder, config):
    from tests.support.toy_model import tensors, write_safetensors

    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", tensors(config))


def test_a_quantized_file_can_be_quantized_again(shipped, tmp_path):
    first = written(shipped, tmp_path / "q8.gguf", "Q8_0")
    again = written(first, tmp_path / "q4.gguf", "Q4_0")
    name = "blk.3.attn_q.weight"
    expected = FORMATS["Q4_0"].round_trip(FORMATS["Q8_0"].round_trip(shipped.weights(name)))
    np.testing.assert_array_equal(again.weights(name), expected)
    ids = shipped.tokenizer.encode(TRICKY)
    np.testing.assert_array_equal(again.tokenizer.encode(TRICKY), ids)


def test_the_bytes_of_a_big_endian_file_are_turned_round(tmp_path):
    weights = np.random.default_rng(0).normal(size=(2, 256)).astype(np.float32)
    tensors = {}
    for name in FORMATS:
        packed = quantized(FORMATS[name], weights)
        turned = in_little_endian(name, packed)  # turning twice changes nothing
        np.testing.assert_array_equal(in_little_endian(name, turned), packed)
        tensors[name] = ([256, 2], GGML_TYPES[name].number, turned.tobytes())
    path = tmp_path / "big.gguf"
    path.write_bytes(gguf_bytes({"general.architecture": "llama"}, tensors, order=">"))
    for name, tensor in read_gguf(path).tensors.items():
        np.testing.assert_array_equal(tensor.read(), round_trip(FORMATS[name], weights), name)


def test_closing_leaves_nothing_behind(shipped, tmp_path):
    steps = quantize_steps(shipped, plan(shipped, "Q4_K_M"), tmp_path / "model.gguf")
    shares = [next(steps).share for _ in range(3)]
    assert shares == sorted(shares)
    assert list(tmp_path.iterdir()), "it grows under another name"
    steps.close()
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_not_replaced(toy, tmp_path):
    path = tmp_path / "toy.gguf"
    path.write_bytes(b"precious")
    with pytest.raises(ModelError, match="exists already; choose another name"):
        written(toy, path)
    assert path.read_bytes() == b"precious"


def test_a_full_disk_gets_one_sentence(toy, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"needs [\d,]+ bytes, and there is not so much room"):
        written(toy, tmp_path / "out" / "toy.gguf")
    assert not list((tmp_path / "out").iterdir())


def test_no_such_folder(toy, tmp_path):
    with pytest.raises(ModelError, match="There is no folder"):
        written(toy, tmp_path / "none" / "toy.gguf")


def test_a_type_that_needs_a_matrix_is_refused_before_a_file_is_begun(shipped, tmp_path):
    with pytest.raises(ModelError, match=r"IQ2_XS, which makes garbage without .* --imatrix"):
        written(shipped, tmp_path / "model.gguf", "IQ2_XS")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_leave_no_file(tmp_path):
    from tests.support.toy_model import tensors, write_safetensors

    folder = write_folder(tmp_path / "toy")
    arrays = tensors()
    arrays["model.layers.1.mlp.up_proj.weight"][3, 4] = np.nan
    write_safetensors(folder / "model.safetensors", arrays)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"blk.1.ffn_up.weight has nan at \[3, 4\]"):
        written(open_model(folder), tmp_path / "out" / "toy.gguf")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"general.architecture": "mamba"}, "architecture 'mamba'; the lab runs llama"),
        ({"llama.expert_count": 8}, "a model with experts"),
        ({"llama.attention.head_count": None}, "metadata lacks num_attention_heads"),
        ({"llama.embedding_length": 0}, "metadata has hidden_size 0"),
        ({"llama.attention.value_length": 5}, "is not the size of a head"),
        ({"llama.rope.dimension_count": 8}, "dimension_count is not the size of a head"),
        ({"llama.rope.dimension_count": 8} | NO_LENGTHS, "dimension_count is not the size of a"),
        ({"llama.attention.causal": False}, "whose tokens see those behind them"),
        ({"tokenizer.ggml.model": "bert"}, "tokenizer is of kind 'bert'"),
        ({"tokenizer.ggml.pre": "strange"}, "cuts text as 'strange'"),
        ({"tokenizer.ggml.tokens": None}, "no vocabulary"),
        ({"tokenizer.ggml.merges": ["no space in it?", "a"]}, "merges that make sense"),
        ({"llama.rope.scaling.type": "yarn"}, "rope scaling"),
        ({"llama.block_count": 3}, r"lacks the tensor 'blk.2.attn_norm.weight'"),
        ({"llama.block_count": 1}, r"holds 'blk.1.\w+.weight', which the lab has no use for"),
        ({"llama.feed_forward_length": 256}, r"gives 'blk.0.ffn_gate.weight' the shape"),
    ],
)
def test_what_does_not_fit_together_gets_one_sentence(toy, tmp_path, change, pattern):
    written(toy, tmp_path / "toy.gguf")
    path = with_metadata(tmp_path / "toy.gguf", change)
    with pytest.raises(ModelError, match=pattern) as caught:
        open_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["attention.head_count_kv", "feed_forward_length"])
def test_a_number_given_for_each_layer_is_that_number(tmp_path, key):
    """Where all layers have the same, as llama.cpp's get_key_or_arr takes it."""
    quantize(open_model(write_folder(tmp_path / "toy")), "F32", tmp_path / "toy.gguf")
    model = open_model(tmp_path / "toy.gguf")
    key, number = f"llama.{key}", read_gguf(tmp_path / "toy.gguf").metadata[f"llama.{key}"]
    n_layers = model.config.n_layers
    same = with_metadata(tmp_path / "toy.gguf", {key: np.full(n_layers, number, np.int32)})
    assert open_model(same).config == model.config
    for others in (np.arange(n_layers) + number, np.full(n_layers + 1, number)):
        path = with_metadata(tmp_path / "toy.gguf", {key: others.astype(np.int32)})
        with pytest.raises(ModelError):
            open_model(path)


def test_the_command_writes_a_file(tmp_path, capsys):
    path = tmp_path / "model.gguf"
    assert main(["quantize", "--type", "q4_k_m", "--output", str(path)]) == 0
    assert "Q4_K_M" in capsys.readouterr().out
    assert main(["perplexity", str(path), "--text", __file__, "--context", "64", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["model"], printed["type"]) == ("model.gguf", "F32")
    assert main(["quantize", "--type", "q4_k_m", "--output", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("entry", [["a"], {"content": ["a"]}, {"content": {}}])
def test_a_special_token_that_is_no_text_counts_as_not_named(tmp_path, entry):
    folder = write_folder(tmp_path / "toy", CONFIG | {"bos_token_id": 7})
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": entry}))
    path = tmp_path / "toy.gguf"
    model = open_model(folder)
    quantize(model, plan(model, "F32"), path)
    assert read_gguf(path).metadata["tokenizer.ggml.bos_token_id"] == 7
