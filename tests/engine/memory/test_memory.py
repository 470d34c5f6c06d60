"""Memory: published figures to the last digit, and what llama.cpp's own allocator said."""

import dataclasses
import json
import re
from collections import Counter

import pytest

from quantcore import get_type, open_model, plan
from quantcore.io import ModelError
from quantcore.memory import (
    Setup,
    cache_bytes,
    cache_terms,
    estimate,
    stored_weights,
    tokens_that_fill,
)
from quantcore.shape import (
    LayerCache,
    preset,
    preset_config,
    preset_ids,
    shape_from_config,
    shape_from_json,
)
from tests.support.places import GOLDEN

GIB, MIB = 2**30, 2**20
RECORDED = json.loads((GOLDEN / "llama_cpp_memory.json").read_text())["presets"]
COUNTS = json.loads((GOLDEN / "model_counts.json").read_text())
KINDS = {
    "full": "full_attention", "latent": "full_attention", "window": "sliding_attention",
    "chunk": "chunked_attention",
}  # fmt: skip


def _recorded_id(r):
    return f"{r['id'].split('/')[1]}-{r['context']}-{r['cache_type']}-ub{r['ubatch']}"


@pytest.mark.parametrize("counted", COUNTS, ids=lambda c: c["id"])
def test_the_tensors_add_up_to_the_known_number_of_weights(counted):
    shape = preset(counted["id"])
    assert shape.n_weights == counted["weights"]
    assert shape.active_weights == counted["active_weights"]
    assert Counter(KINDS[cache.kind] for cache in shape.caches) == counted["layers"]
    kept = sum(cache.key_values + cache.value_values for cache in shape.caches)
    assert kept == counted["cache_values_per_token"]


@pytest.mark.parametrize("model_id", preset_ids())
def test_the_published_number_is_that_of_the_tensors_and_the_named_extras(model_id):
    shape = preset(model_id)
    assert shape.source
    # 3,416 numbers in the Hub's count of Kimi-K2 are in no list of its tensors.
    assert shape.unexplained_weights == (3_416 if model_id.endswith("Kimi-K2-Instruct") else 0)


HYBRIDS = [  # number of parameters that the Hub shows for the file
    ("mamba-130m-hf", 129_135_360, "state", {
        "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "state_size": 16,
        "conv_kernel": 4, "expand": 2, "intermediate_size": 1536, "time_step_rank": 48,
        "vocab_size": 50_280, "tie_word_embeddings": True}),
    ("mamba2-130m", 128_989_632, "state", {
        "model_type": "mamba2", "hidden_size": 768, "num_hidden_layers": 24, "state_size": 128,
        "conv_kernel": 4, "expand": 2, "head_dim": 64, "num_heads": 24, "n_groups": 1,
        "vocab_size": 50_288, "tie_word_embeddings": True}),
    ("Jamba-v0.1", 51_570_323_328, "full", {
        "model_type": "jamba", "hidden_size": 4096, "intermediate_size": 14_336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_experts": 16, "num_experts_per_tok": 2, "expert_layer_period": 2,
        "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4,
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 256,
        "vocab_size": 65_536, "tie_word_embeddings": False, "max_position_embeddings": 262_144}),
    ("LFM2-1.2B", 1_170_340_608, "full", {
        "model_type": "lfm2", "hidden_size": 2048, "intermediate_size": 12_288,
        "block_auto_adjust_ff_dim": True, "block_ffn_dim_multiplier": 1.0,
        "block_multiple_of": 256, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "full_attn_idxs": [2, 5, 8, 10, 12, 14], "conv_L_cache": 3,
        "vocab_size": 65_536, "max_position_embeddings": 128_000}),
]  # fmt: skip


@pytest.mark.parametrize("name, n_weights, other, raw", HYBRIDS, ids=lambda x: str(x)[:12])
def test_hybrid_and_recurrent_models(name, n_weights, other, raw):
    shape = shape_from_json(raw, name)
    assert shape.n_weights == n_weights
    kinds = Counter(cache.kind for cache in shape.caches)
    assert set(kinds) == {"state", other}
    state = sum(4 * cache.state_values for cache in shape.caches)
    grows = cache_bytes(shape, 2000) - cache_bytes(shape, 1000)
    assert cache_bytes(shape, 1000) - grows == state  # the state alone does not grow
    assert (grows == 0) == (other == "state")


def test_the_state_of_mamba_is_the_convolutions_inputs_and_the_state_itself():
    shape = shape_from_json(HYBRIDS[0][3])
    assert cache_bytes(shape, 10_000, n_sequences=2) == 2 * 24 * (3 * 1536 + 16 * 1536) * 4


def test_half_of_jambas_layers_have_experts():
    shape = shape_from_json(HYBRIDS[2][3])
    assert round(shape.active_weights / 1e9, 1) == 12.1  # "12B active", the model card says


@pytest.mark.parametrize(
    "name, context, gib",
    [
        ("Llama-3.1-8B", 131_072, 16.0),
        ("Qwen3-0.6B", 40_960, 4.375),
        ("Qwen3-4B", 4_096, 576 / 1024),
        ("Llama-2-7b-hf", 4_096, 2.0),
        ("gemma-3-27b-it", 131_072, 10.40625),
    ],
)
def test_cache_of_known_models(name, context, gib):
    assert cache_bytes(preset(name), context) == gib * GIB


def test_cache_of_latent_attention():
    assert cache_bytes(preset("DeepSeek-V3.1"), 163_840) == 163_840 * 61 * (512 + 64) * 2
    assert round(cache_bytes(preset("DeepSeek-V3.1"), 163_840) / GIB, 2) == 10.72


def test_sequences_that_share_a_prefix_keep_it_once():
    llama, gemma = preset("Llama-3.1-8B"), preset("gemma-3-27b-it")
    one = cache_bytes(llama, 1)
    assert cache_bytes(llama, 1000, 4, shared_prefix=400) == (4 * 600 + 400) * one
    assert cache_bytes(llama, 1000, 1, shared_prefix=400) == 1000 * one
    # A window of 1,024 has left a prefix of 400 tokens behind after 4,096, the ten full layers not.
    saved = cache_bytes(gemma, 4096, 4) - cache_bytes(gemma, 4096, 4, shared_prefix=400)
    assert saved == 3 * 400 * 10 * 2 * 16 * 128 * 2
    with pytest.raises(ValueError, match="must be within the context"):
        cache_bytes(llama, 10, shared_prefix=11)


def test_keys_and_values_can_differ():
    llama = preset("Llama-3.1-8B")
    keys, values = 4_096 * 32 * 1024 * 34 / 32, 4_096 * 32 * 1024 * 18 / 32
    assert cache_bytes(llama, 4_096, 1, "Q8_0", "Q4_0") == keys + values
    assert cache_bytes(llama, 4_096, 1, "FP8", "fp8") == 4_096 * 32 * 2 * 1024


@pytest.mark.parametrize("name, per_value", [("Q8_0", 34 / 32), ("Q4_0", 18 / 32), ("F32", 4)])
def test_a_quantized_cache_counts_its_scales(name, per_value):
    llama = preset("Llama-3.1-8B")
    assert cache_bytes(llama, 4_096, 1, name, name) == 4_096 * 32 * 2 * 8 * 128 * per_value


def test_windows_cap_the_cache():
    gemma = preset("gemma-3-27b-it")
    window, full = cache_terms(gemma, 131_072)
    assert (full.n_layers, full.n_tokens) == (10, 131_072)
    assert (window.n_layers, window.n_tokens) == (52, 1_024)
    assert {t.n_tokens for t in cache_terms(gemma, 100)} == {100}
    mistral = preset("Mistral-7B-v0.1")
    assert cache_bytes(mistral, 32_768) == cache_bytes(mistral, 4_096)


def test_the_context_that_fills_a_size():
    llama, mistral = preset("Llama-3.1-8B"), preset("Mistral-7B-v0.1")
    for size in (0, 131_071, 131_072, 10**9, 16 * GIB):
        tokens = tokens_that_fill(llama, size)
        assert cache_bytes(llama, tokens) > size >= cache_bytes(llama, tokens - 1)
    assert tokens_that_fill(mistral, GIB) is None  # its window keeps it at half a GiB


def test_sequences_multiply_the_cache():
    gemma = preset("gemma-3-27b-it")
    assert cache_bytes(gemma, 8_192, n_sequences=3) == 3 * cache_bytes(gemma, 8_192)


def test_cache_equals_llama_cpps(subtests):
    for r in RECORDED:
        with subtests.test(_recorded_id(r)):
            shape, kept = preset(r["id"]), r["cache_type"]
            size = cache_bytes(shape, r["context"] // r["sequences"], r["sequences"], kept, kept)
            if shape.window:  # llama.cpp pads a window by the micro-batch and rounds up
                assert size <= r["context_mib"] * MIB
            else:
                assert int(size / MIB) == r["context_mib"]


@pytest.mark.parametrize("model_id", sorted({r["id"] for r in RECORDED}))
def test_weights_in_f16_equal_llama_cpps(model_id):
    (mib,) = {r["model_mib"] for r in RECORDED if r["id"] == model_id}
    size = stored_weights(preset(model_id), "F16").total_bytes
    # Routers are F32 here as in a converted file; the recorded header-only files had them in F16.
    assert size / MIB == pytest.approx(mib, abs=1, rel=3e-4)


@pytest.mark.parametrize(
    "type_name, bits, gib",
    [
        ("F16", 16.0005, 14.96), ("Q8_0", 8.5008, 7.95), ("Q6_K", 6.5633, 6.14),
        ("Q5_K_M", 5.7036, 5.33), ("Q5_K_S", 5.5704, 5.21), ("Q4_K_M", 4.8944, 4.58),
        ("Q4_K_S", 4.6672, 4.36), ("IQ4_NL", 4.6818, 4.38), ("IQ4_XS", 4.4597, 4.17),
        ("Q3_K_L", 4.2979, 4.02), ("Q3_K_M", 3.9960, 3.74), ("Q3_K_S", 3.6429, 3.41),
        ("Q2_K", 3.1593, 2.95),
    ],
)  # fmt: skip
def test_bits_per_weight_of_llama_3_1_8b_as_published(type_name, bits, gib):
    stored = stored_weights(preset("Llama-3.1-8B"), type_name)
    assert round(stored.bits_per_weight, 4) == bits
    assert round(stored.total_bytes / GIB, 2) == gib


def test_rows_that_do_not_divide_fall_back():
    stored = stored_weights(preset("SmolLM2-135M"), "Q4_K pure")
    assert stored.fallbacks == {"Q5_0": 1 + 30 * 6}  # rows of 576; only ffn_down has 1,536
    assert stored.bits_per_weight > 5
    mixed = stored_weights(preset("SmolLM2-135M"), "Q4_K_M")
    assert sum(mixed.fallbacks.values()) == 180  # as llama-quantize counts, which keeps Q8_0 apart
    assert round(mixed.bits_per_weight, 2) == 6.17
    assert stored_weights(preset("SmolLM2-135M"), "Q8_0").fallbacks == {}


def test_parts_add_up():
    stored = stored_weights(preset("Qwen3-30B-A3B"), "Q4_K")
    assert stored.total_bytes == sum(stored.bytes_by_part.values())
    assert stored.bytes_by_part["experts"] > 0.9 * stored.total_bytes


LLAMA = preset_config("Llama-3.1-8B")


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"num_key_value_heads": 7}, "32 heads cannot share 7 KV heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers 0; expected 1 to 1,000"),
        ({"num_hidden_layers": -3}, "num_hidden_layers -3"),
        ({"hidden_size": 10**30}, "of more than 18 digits"),
        ({"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": None}, "do not divide"),
        ({"vocab_size": "many"}, "vocab_size 'many'"),
        ({"model_type": None}, "is it a model’s config.json"),
        ({"num_local_experts": 4}, "lacks num_experts_per_tok"),
        ({"num_local_experts": 4, "num_experts_per_tok": 5}, "5 experts per token are more than"),
        ({"layer_types": ["odd"] * 32}, "layers of type 'odd'"),
        ({"rope_scaling": {"type": []}}, None),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_one_sentence(changes, says):
    if says is None:
        assert shape_from_json(LLAMA | changes).n_weights == 8_030_261_248
        return
    with pytest.raises(ModelError, match=says):
        shape_from_json(LLAMA | changes)


def test_an_unknown_architecture_is_an_estimate():
    shape = shape_from_json(LLAMA | {"model_type": "brand_new"})
    assert "'brand_new'" in shape.estimated
    assert stored_weights(shape, "Q8_0").estimated == shape.estimated
    assert stored_weights(preset("falcon-7b"), "Q8_0 pure").estimated == ""
    assert "falcon" in stored_weights(preset("falcon-7b"), "Q4_K_M").estimated
    assert stored_weights(preset("Llama-3.1-8B"), "Q4_K_M").estimated == ""


def test_the_text_part_of_a_model_that_sees_is_taken():
    inner = preset_config("gemma-3-27b-it")
    shape = shape_from_json({"model_type": "gemma3", "vision_config": {}, "text_config": inner})
    assert shape.n_weights == preset("gemma-3-27b-it").n_weights
    small = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10_240,
             "num_hidden_layers": 34, "sliding_window": 1024}  # fmt: skip
    assert shape_from_json({"model_type": "gemma3", "text_config": small}).n_weights == (
        preset("gemma-3-4b-it").n_weights
    )  # the rest are defaults of the class


def test_qwen2_with_eyes_is_qwen2():
    raw = preset_config("Qwen2.5-7B")
    for kind in ("qwen2_vl", "qwen2_5_vl"):
        flat = shape_from_json(raw | {"model_type": kind, "vision_config": {}})
        nested = shape_from_json({"model_type": kind, "text_config": raw})
        assert flat.n_weights == nested.n_weights == preset("Qwen2.5-7B").n_weights
        assert not flat.estimated


def test_bad_cache_types_are_refused():
    llama = preset("Llama-3.1-8B")
    with pytest.raises(ValueError, match="No cache of type Q4_K"):
        cache_bytes(llama, 1, 1, "Q4_K")
    with pytest.raises(ValueError, match="heads of a multiple of 32, got 80"):
        cache_bytes(dataclasses.replace(llama, head_size=80), 1, 1, "Q8_0")


def test_every_term_is_its_formula():
    """The numbers in a formula give its bytes: a reader can check them by hand."""
    cases = [("Llama-3.1-8B", {}), ("gemma-3-27b-it", {"context": 131_072, "key_type": "q8_0"}),
             ("DeepSeek-V3.1", {"type_name": "IQ4_XS", "sequences": 2})]  # fmt: skip
    for name, chosen in cases:
        taken = estimate(preset(name), Setup(**chosen))
        assert taken.total_bytes == taken.weights_bytes + taken.kv_cache_bytes
        for term in taken.terms:
            product = term.formula.split(", ")[-1] if ", " in term.formula else term.formula
            python = re.sub(r"[A-Za-z]+", "", product.replace(",", "")).replace("×", "*")
            assert eval(python) == term.bytes, term


def test_what_one_token_adds():
    assert estimate(preset("Llama-3.1-8B"), Setup()).kv_bytes_per_token == 131_072
    layer = LayerCache(kind="window", key_values=64, value_values=64, window=8)
    short = dataclasses.replace(preset("SmolLM2-135M"), caches=(layer,))
    assert estimate(short, Setup(context=100)).kv_bytes_per_token == 256
    assert estimate(short, Setup(context=100)).kv_cache_bytes == 8 * 256


@pytest.mark.parametrize(
    "wrong", [{"context": 0}, {"sequences": -1}, {"runtime": "magic"}, {"ubatch": 0}]
)
def test_a_set_up_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"at least 1|No runtime"):
        Setup(**wrong)


@pytest.mark.parametrize("format_name", ["F32", "Q8_0", "Q4_K", "INT4_G32_ASYM"])
def test_the_opened_models_bytes_are_the_engines(format_name):
    model = open_model()
    shape = shape_from_config(model.config, model.name)
    stored = stored_weights(shape, get_type(format_name, pure=True).name)
    assert stored.n_weights == model.n_weights
    assert stored.total_bytes == model.stored_bytes(format_name)


@pytest.mark.parametrize("mix", ["Q5_K_S", "Q4_K_M", "Q4_0", "Q2_K"])
def test_the_opened_models_bytes_are_the_plans(mix):
    model = open_model()
    stored = stored_weights(shape_from_config(model.config, model.name), mix)
    assert stored.total_bytes == plan(model, mix).bytes
    assert stored.bits_per_weight == pytest.approx(plan(model, mix).bits_per_weight)


@pytest.mark.parametrize("name", ["Q4_K_M", "Q3_K_M", "Q2_K", "Q8_0"])
def test_a_mixture_of_experts_is_the_plans(name):
    """Of config.json alone, which the plan reads for Mixtral."""
    raw = {
        "model_type": "mixtral", "num_local_experts": 8, "hidden_size": 4096, "vocab_size": 32_000,
        "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "tie_word_embeddings": False,
    }  # fmt: skip
    routers = 32 * 8 * 4096
    stored, planned = stored_weights(preset("Mixtral-8x7B-v0.1"), name), plan(raw, name)
    assert stored.total_bytes == planned.bytes + 2 * routers  # F32 here, F16 in the plan
