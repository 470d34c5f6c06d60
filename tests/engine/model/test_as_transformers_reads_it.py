"""What config.json and tokenizer.json leave out, as transformers and llama.cpp's converter take it.

Found by tests/peers/test_random_models.py.
"""

import json

import pytest
from tokenizers import processors

from quantcore import ModelError, open_model, plan
from quantcore.io.gguf import read_gguf
from quantcore.model.config import read_config
from quantcore.model.gguf_config import llama_cpp_refuses, metadata_of
from quantcore.recipe.quantize import quantize
from tests.support.tokenizer_folders import with_tokenizer
from tests.support.toy_model import CONFIG, LLAMA3

SIZES = CONFIG | {"num_attention_heads": 32, "hidden_size": 2048}
NULLS = {"sliding_window": None}


def config_without(key, **more):
    config = {name: value for name, value in (SIZES | more).items() if name != key}
    return read_config(config)


@pytest.mark.parametrize(
    ("kind", "heads"), [("llama", 32), ("mistral", 8), ("qwen2", 32), ("qwen3", 32)]
)
def test_key_heads_that_are_not_said(kind, heads):  # configuration_*.py of transformers 5.23
    assert config_without("num_key_value_heads", model_type=kind, **NULLS).n_kv_heads == heads


@pytest.mark.parametrize(
    ("kind", "size"), [("llama", 64), ("mistral", 64), ("qwen2", 64), ("qwen3", 128)]
)
def test_a_head_size_that_is_not_said(kind, size):
    assert config_without("", model_type=kind, **NULLS).head_size == size


@pytest.mark.parametrize(
    "harmless",
    [
        {"model_type": "qwen2", "sliding_window": 64},  # Qwen's default is not to use it
        {"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True}
        | {"max_window_layers": 2},
        {"model_type": "mistral", "sliding_window": 64, "layer_types": ["full_attention"] * 2},
        {"model_type": "mistral", "sliding_window": 128},  # as long as the context
        {"model_type": "mistral"},
    ],
)
def test_windows_that_cut_nothing_off(harmless):
    assert read_config(CONFIG | harmless).context_length == 128


@pytest.mark.parametrize(
    "window",
    [
        {"model_type": "mistral", "max_position_embeddings": 8192},  # 4096 where it is not said
        {"model_type": "mistral", "sliding_window": 64},
        {"model_type": "qwen3", "sliding_window": 64, "use_sliding_window": True}
        | {"max_window_layers": 1},
    ],
)
def test_windows_that_do(window):
    with pytest.raises(ModelError, match=r"sliding_window of (4096|64)"):
        read_config(CONFIG | window)


def written(folder):
    model, path = open_model(folder), folder.with_suffix(".gguf")
    quantize(model, plan(model, "F16"), path)
    return read_gguf(path).metadata


@pytest.mark.parametrize(
    ("template", "settings", "expected"),
    [
        ("$A </s>", {}, (True, 258)),
        ("<s> $A </s>", {}, (True, 258)),
        ("<s> $A", {}, (None, 258)),
        ("$A </s>", {"add_eos_token": False}, (False, 258)),
        ("$A", {"add_eos_token": True}, (True, 258)),
        ("$A <s>", {}, (True, 257)),  # SpecialVocab: what closes a text is what ends it
    ],
)
def test_a_token_that_closes_texts(tmp_path, template, settings, expected):
    def change(tokenizer):
        numbers = [("<s>", 257), ("</s>", 258)]
        tokenizer.post_processor = processors.TemplateProcessing(template, None, numbers)

    folder = with_tokenizer(tmp_path / "toy", change)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    metadata = written(folder)
    adds = metadata.get("tokenizer.ggml.add_eos_token")
    assert (adds, metadata["tokenizer.ggml.eos_token_id"]) == expected


def test_heads_that_llama_cpp_does_not_take():
    def about(kind, head):
        config = read_config(CONFIG | {"model_type": kind, "head_dim": head} | NULLS)
        return metadata_of(config, "toy", 1)

    assert about("qwen2", 16)["qwen2.attention.key_length"] == 16
    assert about("llama", 32)["llama.attention.key_length"] == 32
    with pytest.raises(ModelError, match="refuses such files of architecture 'qwen2'"):
        about("qwen2", 32)


@pytest.mark.parametrize(
    ("kind", "more", "refused"),
    [
        ("llama", {"attention_bias": True, "rope_scaling": LLAMA3}, None),
        ("qwen2", {"attention_bias": True}, None),  # its output has none, whatever is said
        ("qwen2", {"rope_scaling": LLAMA3}, "rope_freqs.weight"),
        ("qwen3", {"head_dim": 16, "rope_scaling": LLAMA3}, "rope_freqs.weight"),
        ("qwen3", {"head_dim": 32, "attention_bias": True}, "attn_output.bias"),
        ("qwen3", {"head_dim": 32}, None),
    ],
)
def test_tensors_that_llama_cpp_does_not_load(kind, more, refused):
    says = llama_cpp_refuses(read_config(CONFIG | {"model_type": kind} | more | NULLS))
    assert (refused is None) == (says == "") and (refused or "") in says
