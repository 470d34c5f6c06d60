"""The mixes: every tensor gets the type that llama-quantize gives it, and the rule says why."""

import json

import pytest

from quantcore.io import ModelError
from quantcore.model.source import open_model
from quantcore.recipe.contents import Contents, contents_of, contents_of_shape
from quantcore.recipe.file_types import ALIASES, FILE_TYPES, get_file_type
from quantcore.recipe.overrides import (
    Override,
    overrides_as_text,
    parse_override,
    read_overrides,
)
from quantcore.recipe.plan import plan
from quantcore.recipe.rules import may_quantize
from quantcore.shape import preset, preset_config, shape_from_json
from tests.support.places import GOLDEN

MIXES = json.loads((GOLDEN / "mixes.json").read_text())
EXCEPTIONS = json.loads((GOLDEN / "mixes_exceptions.json").read_text())
SNAPSHOTS = json.loads((GOLDEN / "mixes_snapshots.json").read_text())

# llama.cpp, tools/quantize/README.md, for Llama-3.1-8B; Q3_K_M from the shapes and the rules.
PUBLISHED = {
    "Q2_K": 3.1593, "Q3_K_S": 3.6429, "Q3_K_M": 3.9960, "Q3_K_L": 4.2979, "IQ4_XS": 4.4597,
    "Q4_K_S": 4.6672, "IQ4_NL": 4.6818, "Q4_K_M": 4.8944, "Q5_K_S": 5.5704, "Q5_K_M": 5.7036,
    "Q6_K": 6.5633, "Q8_0": 8.5008, "F16": 16.0005,
}  # fmt: skip


def config_json(sizes: dict) -> dict:
    """Write the config.json of a model of these sizes."""
    raw = {
        "model_type": "llama",
        "hidden_size": sizes["dim"],
        "intermediate_size": sizes["hid"],
        "num_hidden_layers": sizes["L"],
        "num_attention_heads": sizes["H"],
        "num_key_value_heads": sizes["KV"],
        "vocab_size": sizes["V"],
        "tie_word_embeddings": sizes["tied"],
    }
    if "experts" in sizes:
        raw |= {"model_type": "mixtral", "num_local_experts": sizes["experts"]}
    return raw


def llama_8b() -> Contents:
    return contents_of(config_json(MIXES["llama31_8b"]["config"]))


def unpacked(types: dict[str, str]) -> dict[str, str]:
    """Type of each tensor; the file has `Q6_K*4 Q4_K*12` for a role, layer after layer."""
    by_name = {}
    for role, runs in types.items():
        row = [
            name for run in runs.split() for name in [run.split("*")[0]] * int(run.split("*")[1])
        ]
        if len(row) == 1 and role.split(".")[0] in ("output", "output_norm", "token_embd"):
            by_name[role] = row[0]
        else:
            by_name |= {f"blk.{layer}.{role}": name for layer, name in enumerate(row)}
    return by_name


@pytest.mark.parametrize("model", MIXES)
def test_every_type_is_the_one_of_llama_quantize(model, subtests):
    contents = contents_of(config_json(MIXES[model]["config"]))
    for name, expected in MIXES[model]["file_types"].items():
        with subtests.test(name):
            planned = plan(contents, name)
            assert {t.name: t.type for t in planned.tensors} == unpacked(expected["types"])
            assert planned.n_fallbacks == expected["fallbacks"]
            bits = pytest.approx(expected["bits_per_weight"], abs=0.005001)
            assert planned.bits_per_weight == bits
            assert planned.bytes / 2**20 == pytest.approx(expected["mib"], abs=0.005001)


@pytest.mark.parametrize("model", SNAPSHOTS)
def test_every_type_is_the_one_of_llama_cpps_own_snapshots(model, subtests):
    for name, types in SNAPSHOTS[model]["file_types"].items():
        with subtests.test(name):
            planned = plan(SNAPSHOTS[model]["config"], name)
            by_name = {t.name: t.type for t in planned.tensors if len(t.shape) > 1}
            assert by_name == unpacked(types)


@pytest.mark.parametrize("model", EXCEPTIONS)
def test_latent_attention_windows_experts_and_hybrids_are_as_in_llama_cpps_snapshots(
    model, subtests
):
    """Gemma 3, DeepSeek V3.1, gpt-oss and Qwen3-Next, from nothing but their config.json."""
    source = EXCEPTIONS[model]["config"]
    shape = preset(source) if isinstance(source, str) else shape_from_json(source)
    for name, expected in EXCEPTIONS[model]["file_types"].items():
        with subtests.test(name):
            _has_the_types_of_a_snapshot(shape, name, expected)


def _has_the_types_of_a_snapshot(shape, name, expected):
    named: dict[str, str] = {}
    for role, by_type in expected["others"].items():
        for type, runs in by_type.items():
            for layer in (layer for first, last in runs for layer in range(first, last + 1)):
                named[role if layer < 0 else f"blk.{layer}.{role}"] = type
    planned = plan(contents_of_shape(shape), name).tensors
    matrices = {t.name: t.type for t in planned if may_quantize(t.name, t.shape)}
    assert set(named) <= set(matrices)
    assert matrices == {tensor: named.get(tensor, expected["most"]) for tensor in matrices}


@pytest.mark.parametrize(("name", "bits"), PUBLISHED.items())
def test_published_bits_per_weight_to_four_decimals(name, bits):
    assert plan(llama_8b(), name).bits_per_weight == pytest.approx(bits, abs=0.00005001)


def test_each_rule_is_a_sentence_about_its_tensor():
    for name in FILE_TYPES:
        for tensor in plan(llama_8b(), name).tensors:
            assert tensor.rule.endswith(".")
            layer = tensor.name.split(".")[1] if tensor.name.startswith("blk.") else None
            assert layer is None or f" of layer {layer}: " in tensor.rule


def test_a_rule_says_why():
    tensors = {tensor.name: tensor for tensor in plan(llama_8b(), "Q4_K_M").tensors}
    assert tensors["blk.6.ffn_down.weight"].type == "Q6_K"
    assert tensors["blk.6.ffn_down.weight"].rule == (
        "ffn_down of layer 6: the first and last eighth of the layers and every third between "
        "get more bits."
    )
    assert tensors["blk.4.ffn_down.weight"].rule == "ffn_down of layer 4: most tensors get Q4_K."


def test_a_fallback_says_what_did_not_fit():
    small = contents_of(config_json(MIXES["smollm2_135m"]["config"]))
    tensors = {tensor.name: tensor for tensor in plan(small, "Q4_K_M").tensors}
    query = tensors["blk.0.attn_q.weight"]
    assert (query.type, query.fallback) == ("Q5_0", "Q4_K")
    assert (
        "rows of 576 do not divide into its blocks of 256, so it falls back to Q5_0" in query.rule
    )
    assert plan(small, "Q4_K_M").bits_per_weight == pytest.approx(6.17, abs=0.01)


def test_rows_that_nothing_divides_become_f16():
    odd = Contents(name="odd", architecture="llama", n_layers=1, n_heads=1, n_kv_heads=1,
                   shapes={"blk.0.attn_q.weight": (8, 40), "output.weight": (8, 256)})  # fmt: skip
    for name in ("Q4_K_M", "Q4_0", "Q8_0", "IQ4_XS", "TQ1_0"):
        query = next(t for t in plan(odd, name).tensors if "attn_q" in t.name)
        assert (query.type, query.bytes) == ("F16", 2 * 8 * 40)


def test_pure_leaves_the_rules_out_but_not_the_fallback():
    types = {t.type for t in plan(llama_8b(), "Q4_K_M", pure=True).tensors if len(t.shape) > 1}
    assert types == {"Q4_K"}
    small = contents_of(config_json(MIXES["smollm2_135m"]["config"]))
    assert plan(small, "Q4_K_M", pure=True).n_fallbacks > 0


def test_an_imatrix_changes_some_rules():
    without = {t.name: t.type for t in plan(llama_8b(), "Q4_0").tensors}
    with_one = {t.name: t.type for t in plan(llama_8b(), "Q4_0", imatrix=True).tensors}
    changed = {name for name in without if without[name] != with_one[name]}
    assert changed == {f"blk.{layer}.ffn_down.weight" for layer in range(4)}
    assert {with_one[name] for name in changed} == {"Q4_1"}


def test_types_that_need_an_imatrix_say_so():
    low = plan(llama_8b(), "IQ2_XS").tensors
    needing = {t.name for t in low if t.needs_imatrix}
    assert "blk.0.ffn_up.weight" in needing
    assert not needing & {"token_embd.weight", "output.weight"}
    assert not any(t.needs_imatrix for t in plan(llama_8b(), "IQ2_XS", imatrix=True).tensors)
    assert any(t.needs_imatrix for t in plan(llama_8b(), "Q2_K_S").tensors)
    assert not any(t.needs_imatrix for t in plan(llama_8b(), "Q2_K").tensors)


def test_output_and_embedding_as_asked_for():
    tensors = plan(llama_8b(), "Q4_K_M", output_type="F16", embedding_type="Q8_0").tensors
    types = {tensor.name: tensor.type for tensor in tensors}
    assert (types["output.weight"], types["token_embd.weight"]) == ("F16", "Q8_0")
    tied = plan(open_model(), "Q4_K_M", output_type="Q8_0").tensors
    assert {t.name: t.type for t in tied}["token_embd.weight"] == "Q8_0", "it is the output"


def test_overrides_are_patterns_and_the_first_that_is_found_counts():
    asked = [parse_override(text) for text in ("blk\\.0\\.FFN_=q8_0", "ffn_up=Q3_K", "attn_v=f16")]
    types = {t.name: t.type for t in plan(llama_8b(), "Q4_K_M", overrides=asked).tensors}
    assert types["blk.0.ffn_up.weight"] == "Q8_0"
    assert types["blk.1.ffn_up.weight"] == "Q3_K"
    assert types["blk.1.attn_v.weight"] == "F16"
    assert types["blk.1.attn_q.weight"] == "Q4_K"


def test_a_plan_survives_as_a_file_of_overrides(tmp_path):
    wanted = {t.name: t.type for t in plan(llama_8b(), "Q4_K_M").tensors if len(t.shape) > 1}
    path = tmp_path / "types.txt"
    path.write_text(overrides_as_text(wanted.items()))
    again = plan(llama_8b(), "Q2_K", overrides=read_overrides(path))
    assert {t.name: t.type for t in again.tensors if len(t.shape) > 1} == wanted


@pytest.mark.parametrize("text", ["", "=q4_0", "ffn", "ffn=", "ffn=q9_0", "(=q4_0", "ffn=q4_k_m"])
def test_what_is_no_override_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match=r"^.+\.$"):
        parse_override(text)


def test_names_of_file_types():
    assert [get_file_type(name).name for name in ALIASES] == list(ALIASES.values())
    assert get_file_type("q4_k_m") is FILE_TYPES["Q4_K_M"]
    for wrong in ("", "Q4_K_XL", "INT4_ROW"):
        with pytest.raises(ValueError, match="There is no file type"):
            get_file_type(wrong)
    assert len({file_type.number for file_type in FILE_TYPES.values()}) == len(FILE_TYPES)


def test_unknown_types_and_configs_are_refused():
    with pytest.raises(ValueError, match="no tensor type 'Q9'"):
        plan(llama_8b(), "Q4_0", output_type="Q9")
    with pytest.raises(ValueError, match="no tensor type 'Q4_K_M'"):
        plan(llama_8b(), "Q4_0", overrides=[Override("ffn", "Q4_K_M")])
    llama, mixtral = (config_json(MIXES[n]["config"]) for n in ("llama2_7b", "mixtral_8x7b"))
    with pytest.raises(ModelError, match="num_local_experts 'many'"):
        plan(mixtral | {"num_local_experts": "many"}, "Q4_0")
    with pytest.raises(ModelError, match="the lab does not know the architecture 'gpt9'"):
        plan(llama | {"model_type": "gpt9"}, "Q4_0")


def test_small_and_delicate_tensors_stay():
    assert may_quantize("blk.0.ffn_down_exps.weight", (8, 16, 256))
    for name, shape in {
        "blk.0.attn_norm.weight": (256,),
        "blk.0.attn_q.bias": (256,),
        "blk.0.ffn_gate_inp.weight": (8, 256),
        "blk.0.ssm_conv1d.weight": (4, 256),
        "rope_freqs.weight": (64,),
    }.items():
        assert not may_quantize(name, shape), name


def test_the_80_layer_exception_asks_for_grouped_queries():
    sizes = {"dim": 8192, "hid": 22016, "L": 80, "H": 64, "KV": 64, "V": 32000, "tied": False}
    old = plan(config_json(sizes), "Q4_K_S").tensors
    new = plan(config_json(sizes | {"KV": 8}), "Q4_K_S").tensors
    assert {t.name: t.type for t in old}["blk.40.attn_v.weight"] == "Q4_K"
    assert {t.name: t.type for t in new}["blk.40.attn_v.weight"] == "Q5_K"


def test_a_plan_that_cannot_be_written_is_none():
    """What is asked for by role has no fallback: gguf_set_tensor_type stops llama-quantize."""
    config = preset_config("SmolLM2-135M")  # rows of 576, and the output is the embedding
    with pytest.raises(ValueError, match="rows of 576 do not divide into blocks of 256"):
        plan(config, "Q4_K_M", embedding_type="Q4_K")
    for how in ({"embedding_type": "Q5_0"}, {"output_type": "Q4_K"}):  # the latter by a rule
        assert plan(config, "Q4_K_M", **how).types["token_embd.weight"] == "Q5_0"
