"""Where the memory calculator's model comes from: names, files, folders, pasted text."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from quantcore import ModelError
from quantcore.io.safetensors import SafetensorsTensor
from quantcore.memory import find_by_name, find_shape, shape_of
from quantcore.memory.lookup.on_hub import choose_gguf
from quantcore.memory.lookup.tensors_shape import find_in_tensors
from quantcore.shape import LayerCache, preset, preset_config, preset_ids, shape_from_json
from tests.support.lookups import LAYER, no_network, refused  # noqa: F401
from tests.support.places import ROOT
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

# --- names and pasted text


@pytest.mark.parametrize(
    "name",
    ["meta-llama/Llama-3.1-8B", "llama-3.1-8B", "https://huggingface.co/meta-llama/Llama-3.1-8B"],
)
def test_a_known_model_by_its_name(name):
    model = find_shape(name)
    assert model.shape == preset("meta-llama/Llama-3.1-8B")
    assert (model.stored, model.stored_bytes, model.notes) == (None, None, ())


def test_the_shipped_model_by_its_name_and_as_a_folder():
    folder = ROOT / "assets" / "fable-7m"
    by_name, by_folder = find_shape("fable-7m"), find_shape(folder)
    assert by_name == by_folder
    assert by_name.shape.n_weights == 6_820_096
    assert by_name.stored_bytes == 2 * 6_820_096


@pytest.mark.parametrize("model_id", preset_ids())
def test_every_known_config_can_be_pasted_or_lie_in_a_file(model_id, tmp_path):
    text = json.dumps(preset_config(model_id))
    path = tmp_path / "config.json"
    path.write_text(text)
    expected = preset(model_id)
    for place in (text, f"  \n{text}", path):
        shape = shape_of(place)
        assert (shape.caches, shape.tensors) == (expected.caches, expected.tensors)


# --- names that strangers type


def test_a_name_is_never_a_path(tmp_path, monkeypatch):
    """A model's folder, a file and a link are there; no spelling of them finds anything."""
    (tmp_path / "here").mkdir()
    folder = write_folder(tmp_path / "here" / "toy")
    (tmp_path / "here" / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    weights = folder / "model.safetensors"
    spelled = [str(folder), "toy", "./toy", "../here/toy", "~/toy", "~", ".", "..", "/", "link",
               "link/config.json", "toy/config.json", str(weights), f"file://{folder}", "file:toy",
               f"hf://{folder}", "hf://../../here/toy", "hf:///etc/passwd", "hf.co/../here",
               "https://huggingface.co/../../etc/passwd", "toy/../toy", "toy/..", "a/b/../../toy",
               "toy\\config.json", "C:\\toy", "\\\\server\\toy", "toy\0/x", "%2e%2e/toy",
               "/proc/self/environ", "{", '{"model_type": "llama"}', "", "a" * 5000]  # fmt: skip
    for text in spelled:
        refused(text, "is not a model's name; write owner/name, as on the Hub", find_by_name)
    with pytest.raises(AssertionError, match="the network was asked"):
        find_by_name("toy/config")  # a name, so the Hub is asked, whatever lies here


# --- folders and safetensors


def test_a_folder_is_held_against_its_config(tmp_path):
    model = find_shape(write_folder(tmp_path / "toy"))
    assert model.notes == ()
    assert model.shape.caches == (LAYER, LAYER)
    assert model.shape.tensors == shape_from_json(CONFIG, "toy").tensors
    assert model.stored_bytes == 4 * model.shape.n_weights


def test_a_file_of_weights_finds_the_config_beside_it(tmp_path):
    folder = write_folder(tmp_path / "toy")
    assert shape_of(folder / "model.safetensors").tensors == shape_of(folder).tensors


def test_weights_alone_are_measured(tmp_path):
    write_safetensors(tmp_path / "alone.safetensors", tensors(), "BF16")
    shape = shape_of(tmp_path / "alone.safetensors")
    assert shape.estimated.startswith("there is no config.json; weights are counted")
    assert shape.tensors == shape_from_json(CONFIG, "toy").tensors
    assert {(c.kind, c.key_values, c.value_values) for c in shape.caches} == {("full", 32, 32)}
    assert (shape.n_layers, shape.hidden_size, shape.vocabulary_size) == (2, 64, 260)


def stored(arrays=None, **changes):
    """Headers of a toy's tensors, with some replaced, added, or, for None, left out."""
    shapes = {name: array.shape for name, array in (arrays or tensors()).items()}
    shapes = {name: shape for name, shape in (shapes | changes).items() if shape}
    return {
        name: SafetensorsTensor(Path("m"), "BF16", shape, 0, 2 * int(np.prod(shape)))
        for name, shape in shapes.items()
    }


def held(raw, headers):
    return find_in_tensors(raw, headers, "toy", "s")


def test_what_is_no_part_of_the_language_model_is_left_out_and_said():
    extra = {
        "lm_head.weight": (260, 64),
        "model.vision_tower.blocks.0.attn.q_proj.weight": (10, 10),
        "model.layers.2.self_attn.q_proj.weight": (64, 64),
        "model.layers.0.self_attn.rotary_emb.inv_freq": (8,),
    }
    model, plain = held(CONFIG, stored(**extra)), held(CONFIG, stored())
    assert model.shape == plain.shape
    assert model.stored_bytes == plain.stored_bytes
    assert model.notes == (
        "The files repeat the tied output: 16,640 weights, not counted.",
        "The files also hold parts for images or sound: 100 weights, not counted.",
        "The files also hold layers that predict further tokens: 4,096 weights, not counted.",
    )


def test_where_config_and_files_differ_the_files_are_believed():
    model = held(CONFIG, stored(**{"model.layers.1.mlp.up_proj.weight": (100, 64)}))
    assert model.notes == (
        "In layer 1 the files hold 35,200 weights where config.json asks for 36,992; the files "
        "are believed.",
    )
    assert model.shape.tensors["blk.1.ffn_up.weight"] == (100, 64)
    assert model.shape.estimated == "the files do not hold what config.json asks for"
    assert model.shape.n_weights == held(CONFIG, stored()).shape.n_weights - 28 * 64


def test_an_output_that_is_not_there_is_the_embedding():
    model = held(CONFIG | {"tie_word_embeddings": False}, stored())
    assert model.shape.tied_embedding
    assert model.shape.estimated == ""
    assert model.notes == ("The files hold no output matrix, so the embedding is used for it.",)


@pytest.mark.parametrize(
    "method, packed, shape, dtype, scales",
    [
        ("gptq", "qweight", (8, 128), "I32", {"scales": (1, 128), "g_idx": (64,)}),
        ("awq", "qweight", (64, 16), "I32", {"scales": (1, 128), "qzeros": (1, 16)}),
        ("bitsandbytes", "weight", (4096, 1), "U8", {"weight.absmax": (128,)}),
        ("compressed-tensors", "weight_packed", (128, 8), "I32", {"weight_scale": (128, 1)}),
        ("fp8", "weight", (128, 64), "F8_E4M3", {"weight_scale_inv": (1, 1)}),
    ],
)
def test_packed_weights_are_counted_unpacked(method, packed, shape, dtype, scales):
    headers, module = stored(), "model.layers.0.mlp.up_proj."
    plain = held(CONFIG, headers)
    before = headers.pop(f"{module}weight").n_bytes
    headers[module + packed] = SafetensorsTensor(Path("m"), dtype, shape, 0, 4096)
    headers |= {
        module + k: SafetensorsTensor(Path("m"), "F16", s, 0, 10) for k, s in scales.items()
    }
    model = held(CONFIG | {"quantization_config": {"quant_method": method}}, headers)
    assert model.shape == plain.shape
    assert model.notes == (f"The files are quantized ({method}); sizes here are before that.",)
    assert model.stored_bytes == plain.stored_bytes - before + 4096 + 10 * len(scales)


def test_experts_that_lie_one_by_one_are_a_stack():
    raw = preset_config("mistralai/Mixtral-8x7B-v0.1") | {
        "num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 100,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    }  # fmt: skip
    shapes = {"model.embed_tokens": (100, 64), "lm_head": (100, 64), "model.norm": (64,)}
    inside = {"input_layernorm": (64,), "post_attention_layernorm": (64,)}
    inside |= {f"self_attn.{p}_proj": (32 if p in "kv" else 64, 64) for p in "qkvo"}
    inside["block_sparse_moe.gate"] = (8, 64)
    for i in range(8):
        for w, shape in (("w1", (96, 64)), ("w2", (64, 96)), ("w3", (96, 64))):
            inside[f"block_sparse_moe.experts.{i}.{w}"] = shape
    shapes |= {f"model.layers.0.{module}": shape for module, shape in inside.items()}
    headers = stored({f"{name}.weight": np.empty(shape) for name, shape in shapes.items()})
    known, unknown = held(raw, headers), held(raw | {"model_type": "odd"}, headers)
    assert known.notes == () and known.shape.estimated == ""
    assert unknown.shape.tensors == known.shape.tensors
    assert unknown.shape.active_weights == known.shape.active_weights


def test_an_unknown_architecture_keeps_what_is_certain():
    raw = CONFIG | {"model_type": "odd", "num_key_value_heads": 4}
    shape = held(raw, stored()).shape
    assert shape.architecture == "odd"
    assert shape.estimated == (
        "the lab does not know the architecture 'odd'; weights are counted from the tensors’ "
        "shapes, the cache from the rows of their key and value matrices, and the rest is estimated"
    )
    assert (shape.n_kv_heads, shape.caches) == (2, (LAYER, LAYER))


def test_names_and_shapes_from_strangers_do_no_harm():
    odd = {
        "x" * 10**6: (1,),
        ".weight" * 10**5: (1,),
        "model.layers." * 10**4 + "9.q_proj.weight": (3, 3),
        "layers.99999999.x.weight": (2,),
        "model.layers.1.self_attn.q_proj": (2**40, 2**40),
        "": (1,),
    }
    packing = {"quantization_config": {"bits": [1], "config_groups": [], "quant_method": {"a": 1}}}
    for raw in (CONFIG, CONFIG | {"model_type": "odd"}, CONFIG | packing, None):
        start = time.process_time()
        model = held(
            raw,
            stored()
            | {
                name: SafetensorsTensor(Path("m"), "F16", shape, 0, 2)
                for name, shape in odd.items()
            },
        )
        assert time.process_time() - start < 1
        assert all(len(note) < 300 for note in (*model.notes, model.shape.estimated))
    far = {"model.layers.5000.mlp.up_proj.weight": (2, 2)}
    refused(None, "no tensors that look like", lambda raw: held(raw, stored(**far)))


def test_modules_that_look_alike_all_count():
    more = {f"model.layers.0.{name}.weight": (64,) for name in ("ffn_norm", "ln_2")}
    shape = held(CONFIG | {"model_type": "odd"}, stored(**more)).shape
    assert shape.n_weights == held(CONFIG, stored()).shape.n_weights + 128


def test_windows_that_config_json_gives_by_layer_are_kept():
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    first, second = held(CONFIG | layers | {"model_type": "odd"}, stored()).shape.caches
    assert first == LayerCache(kind="window", key_values=32, value_values=32, window=16)
    assert second == LAYER


def test_latent_attention_is_measured():
    inside = {f"model.layers.{i}.self_attn.{p}_proj.weight": None for i in (0, 1) for p in "kv"}
    for i in (0, 1):
        inside[f"model.layers.{i}.self_attn.kv_a_proj_with_mqa.weight"] = (40, 64)
        inside[f"model.layers.{i}.self_attn.kv_a_layernorm.weight"] = (32,)
    for raw in (CONFIG | {"model_type": "odd"}, None):
        shape = held(raw, stored(**inside)).shape
        assert shape.caches == (LayerCache(kind="latent", key_values=40),) * 2
        assert (shape.latent.kv_size, shape.latent.rope_size) == (32, 8)


def test_layers_without_keys_are_said():
    odd = stored(**{f"model.layers.0.self_attn.{p}_proj.weight": None for p in "kv"})
    shape = held(CONFIG | {"model_type": "odd"}, odd).shape
    assert "(1 of 2 layers have none that the lab knows)" in shape.estimated
    assert [cache.kind for cache in shape.caches] == ["none", "full"]


@pytest.mark.parametrize(
    "which, chosen",
    [("", "m-Q4_K_M.gguf"), ("Q8_0", "q8/m-Q8_0-00001-of-00002.gguf"), ("iq4_xs", "m-IQ4_XS.gguf"),
     ("odd.gguf", "odd.gguf")],
)  # fmt: skip
def test_a_tag_names_a_file(which, chosen):
    names = ("m-Q4_K_M.gguf", "q8/m-Q8_0-00001-of-00002.gguf", "m-IQ4_XS.gguf", "odd.gguf")
    assert choose_gguf(dict.fromkeys(names, 1), which, "a/m") == chosen


def test_a_tag_that_is_not_there():
    with pytest.raises(ModelError, match=r"has no GGUF file 'Q2_K'; there are: m-Q4_K\.gguf"):
        choose_gguf({"m-Q4_K.gguf": 1}, "Q2_K", "a/m")


# --- bad input

NUMBERS = [0, -1, 10**30, 1.5, "32", True, [32], {"a": 1}, 2**63]
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "head_dim")


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_a_size_that_cannot_be(key, value):
    refused(json.dumps(CONFIG | {key: value}), f"{key} |heads")


@pytest.mark.parametrize(
    "text, pattern",
    [
        ("{", "The pasted text is not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ("{}", "is it a model’s config.json"),
        ('{"model_type": ["llama"]}', "is it a model’s config.json"),
        ('{"model_type": "llama"}', "lacks hidden_size"),
        ('{"model_type": "llama", "hidden_size": NaN}', "holds NaN"),
        ('{"model_type": "llama", "hidden_size": 1e400}', "hidden_size"),
        ('{"model_type": "llama", "model_type": "x"}', "has the key 'model_type' twice"),
        ('{"a": ' + '{"a": ' * 1000, "nested too deeply|not valid JSON"),
        ('{"a": ' * 1000 + "1" + "}" * 1000, "nested too deeply|is it a model"),
        ('{"a": ' + "[" * 10**5 + "]" * 10**5 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 10**5 + "}", "not valid JSON|is it a model"),
        ("{" + " " * 2**20 + "}", "a config.json is smaller"),
        ('{"a": "\ud800"}', "not valid JSON"),
    ],
    ids=range(14),
)
def test_text_that_is_no_config(text, pattern):
    refused(text, pattern)


@pytest.mark.parametrize(
    "place",
    [
        "",
        " ",
        "nothing",
        "no/such/folder",
        "absent/config.json",
        "../a",
        "~/no",
        "~nobody/x",
        "a/m.gguf",
        "x" * 10**5,
        "x/" * 10**4,
        "a\0b",
        "a/\0",
        "Llama-3.1-8B:Q4_K_M",
        "a//b",
        "https://a/b",
    ],
)
def test_a_place_that_is_none(place):
    refused(place, "There is no file, no folder, and no known model")


def test_files_that_hold_no_model(tmp_path):
    for name, content, pattern in [
        ("a.txt", b"x", "a.txt is not a model: a config.json, a .safetensors or a .gguf"),
        ("a.gguf", b"x", "ends within|not a GGUF file"),
        ("a.safetensors", b"", "cut off"),
        ("a.json", b"[]", "should hold a JSON object"),
    ]:
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, pattern)
    (tmp_path / "a.gguf").unlink()
    refused(tmp_path, "config.json is missing")
    write_safetensors(tmp_path / "b.safetensors", {"x": np.ones((2, 2), np.float32)})
    refused(tmp_path / "b.safetensors", "no tensors that look like a language model’s")
