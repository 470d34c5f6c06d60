"""Opening model folders: what is read is what was written."""

import json

import numpy as np
import pytest

from quantcore import ModelError, open_model
from quantcore.model.config import read_config
from quantcore.model.names import expected_shapes, to_gguf, to_hugging_face
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

QWEN3 = CONFIG | {"model_type": "qwen3", "head_dim": 32, "tie_word_embeddings": False}
MATRICES = "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down".split()


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "toy")


def test_names_order_and_sizes(folder):
    model = open_model(folder)
    wanted = ["token_embd.weight"] + [f"blk.{i}.{r}.weight" for i in (0, 1) for r in MATRICES]
    assert model.name == "toy"
    assert model.quantizable == wanted
    assert model.n_weights == sum(array.size for array in tensors().values())
    info = model.tensors["blk.1.ffn_down.weight"]
    assert (info.shape, info.dtype, info.layer, info.role) == ((64, 128), "F32", 1, "ffn_down")
    assert not model.tensors["blk.0.attn_norm.weight"].quantizable


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_weights_come_back_as_float32(tmp_path, dtype):
    model = open_model(write_folder(tmp_path / "toy", dtype=dtype))
    for name, written in tensors().items():
        read = model.weights(to_gguf(name))
        wanted = written.astype(np.float16).astype(np.float32) if dtype == "F16" else written
        if dtype == "BF16":
            wanted = (written.view(np.uint32) & 0xFFFF0000).view(np.float32)
        assert read.dtype == np.float32
        assert not read.flags.writeable
        np.testing.assert_array_equal(read, wanted)


def test_shards_are_one_model(folder):
    arrays = tensors()
    homes = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(arrays)}
    for home in set(homes.values()):
        write_safetensors(folder / home, {n: a for n, a in arrays.items() if homes[n] == home})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = open_model(folder)
    for name, written in arrays.items():
        np.testing.assert_array_equal(model.weights(to_gguf(name)), written)


def test_names_have_a_way_back():
    names = expected_shapes(read_config(QWEN3))
    assert "blk.1.attn_q_norm.weight" in names
    assert "output.weight" in names
    for name in names:
        assert to_gguf(to_hugging_face(name)) == name
    assert to_gguf("model.layers.0.self_attn.rotary_emb.inv_freq") is None
    assert to_gguf("model.layers.007.mlp.up_proj.weight") is None


def test_qwen_has_biases_or_norms():
    qwen2 = expected_shapes(read_config(CONFIG | {"model_type": "qwen2"}))
    assert qwen2["blk.0.attn_k.bias"] == (32,)
    assert "blk.0.attn_output.bias" not in qwen2
    assert expected_shapes(read_config(QWEN3))["blk.0.attn_k_norm.weight"] == (32,)


def test_bytes_count_matrices_in_the_format_and_norms_in_f32(folder):
    model = open_model(folder)
    norms = 5 * 64
    matrices = model.n_weights - norms
    assert model.stored_bytes("F32") == 4 * model.n_weights
    assert model.stored_bytes("Q8_0") == matrices * 34 // 32 + 4 * norms
    mixed = dict.fromkeys(model.quantizable, "Q8_0") | {"token_embd.weight": "F32"}
    n = 260 * 64
    assert model.stored_bytes(mixed) == (matrices - n) * 34 // 32 + 4 * (n + norms)


def test_the_key_follows_the_files(folder):
    before = open_model(folder).key
    assert open_model(folder).key == before
    write_safetensors(folder / "model.safetensors", tensors(seed=1), "BF16")
    assert open_model(folder).key != before


def test_tokenizer_goes_there_and_back(folder):
    tokenizer = open_model(folder).tokenizer
    text = "The cat,  à la carte →\n the end."
    tokens, starts = tokenizer.encode_with_starts(text)
    assert tokenizer.decode(tokens) == text
    assert [text[i] for i in starts[:4]] == list("The ")
    assert tokenizer.pieces(tokens[:4]) == ["T", "h", "e", " "]
    assert tokenizer.adds_bos
    assert tokenizer.decode([tokenizer.bos_id, *tokens[:3], tokenizer.eos_id]) == "The"


def test_the_shipped_model_opens_by_name_and_without():
    model = open_model()
    assert open_model(model.name).key == model.key
    assert len(model.quantizable) == 57


def test_an_unknown_name_is_refused(tmp_path):
    for source in (tmp_path / "none", "no-such-model", "a" * 5000, "null\0character"):
        with pytest.raises(ModelError, match="no model folder"):
            open_model(source)
