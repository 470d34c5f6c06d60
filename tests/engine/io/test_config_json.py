"""The door to a config.json: nulls, nested parts, other names of keys, and refusals."""

import pytest

from quantcore.io import ModelError
from quantcore.io.config_json import ConfigJson
from quantcore.shape import preset_config, shape_from_json


def test_sizes_have_defaults_and_bounds():
    config = ConfigJson({"hidden_size": 64, "vocab_size": None})
    assert (config.size("hidden_size"), config.size("vocab_size", 7)) == (64, 7)
    for key, says in (("vocab_size", "lacks vocab_size"), ("n_layers", "lacks n_layers")):
        with pytest.raises(ModelError, match=rf"^config\.json {says}\.$"):
            config.size(key)


@pytest.mark.parametrize("value", [0, -1, True, "64", 64.0, 2**18, [64]])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(ModelError, match=r"has hidden_size .*; expected 1 to 131,072"):
        ConfigJson({"hidden_size": value}).size("hidden_size")


def test_a_count_may_start_from_zero():
    config = ConfigJson({"attn_layer_offset": 0})
    assert config.size("attn_layer_offset", least=0) == 0
    with pytest.raises(ModelError, match="expected 1 to"):
        config.size("attn_layer_offset")


@pytest.mark.parametrize("value", [0, -1.0, "x", True, float("inf"), 1.5])
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(ModelError, match="expected a number up to 1"):
        ConfigJson({"rms_norm_eps": value}).real("rms_norm_eps", largest=1.0)


def test_the_text_part_comes_without_nulls_under_the_usual_names():
    raw = {
        "model_type": "seeing",
        "tie_word_embeddings": True,
        "text_config": {"n_embd": 64, "n_layers": 3, "hidden_size": None, "vocab_size": 9},
    }
    config = ConfigJson(raw).text_model()
    assert config.get("model_type") == "seeing_text"
    assert config.size("hidden_size") == 64
    assert config.size("num_hidden_layers") == 3
    assert config.flag("tie_word_embeddings")
    assert "n_head" not in config


def test_rope_parameters_are_read_wherever_they_lie():
    old = ConfigJson({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}})
    new = ConfigJson({"rope_parameters": {"rope_theta": 5e5, "type": "linear", "factor": 2}})
    for config in (old, new):
        rope = config.rope()
        assert (rope.get("type"), rope.real("rope_theta", largest=1e12)) == ("linear", 5e5)
    assert ConfigJson({"rope_scaling": None}).rope().get("type") is None
    with pytest.raises(ModelError, match="rope parameters that are not an object"):
        ConfigJson({"rope_scaling": "x"}).rope()


def test_words_by_layer_need_as_many_as_layers():
    config = ConfigJson({"layer_types": ["a", "b"], "mlp_only_layers": [1]})
    assert config.by_layer(2, "layer_types") == ["a", "b"]
    assert config.by_layer(3, "layer_types") is None
    assert config.by_layer(2, "layers_block_type", "layer_types") == ["a", "b"]
    assert (config.layers("mlp_only_layers"), config.layers("none")) == ([1], [])


@pytest.mark.parametrize(
    "key, value",
    [("mlp_only_layers", 3), ("mlp_only_layers", ["x"]), ("partial_rotary_factor", "x"),
     ("rope_scaling", "x")],
)  # fmt: skip
def test_a_strange_value_is_one_sentence_and_no_traceback(key, value):
    raw = preset_config("Qwen3-30B-A3B") | {"rope_scaling": {"rope_type": "llama3"}}
    with pytest.raises(ModelError, match=r"^config\.json has "):
        shape_from_json(raw | {key: value})


def test_errors_name_their_source():
    with pytest.raises(ModelError, match=r"^The file's metadata lacks factor\.$"):
        ConfigJson({"rope_scaling": {"a": 1}}, "The file's metadata").rope().size("factor")
