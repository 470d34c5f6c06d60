"""Memory: published figures to the last digit, and what llama.cpp's own allocator said."""

import dataclasses
import json
from pathlib import Path

import pytest

from quantcore import get_type, open_model, plan
from quantcore.memory import (
    Experts,
    cache_bytes,
    cache_terms,
    compute_buffer_bytes,
    presets,
    shape_from_config,
    stored_weights,
    tokens_that_fill,
    weight_groups,
)
from quantcore.memory.presets import PRESETS

GIB, MIB = 2**30, 2**20
RECORDED = json.loads((Path(__file__).parent / "golden" / "llama_cpp_memory.json").read_text())
NAMES = {
    "meta-llama/Llama-3.1-8B": "Llama-3.1-8B",
    "HuggingFaceTB/SmolLM2-135M": "SmolLM2-135M",
    "mistralai/Mixtral-8x7B-v0.1": "Mixtral-8x7B",
    "Qwen/Qwen3-0.6B": "Qwen3-0.6B",
    "Qwen/Qwen3-8B": "Qwen3-8B",
    "google/gemma-3-27b-it": "Gemma-3-27B",
    "google/gemma-2-9b": "Gemma-2-9B",
    "deepseek-ai/DeepSeek-V2-Lite": "DeepSeek-V2-Lite",
}
FLASH = [r for r in RECORDED if r["sequences"] == 1 and r["flash_attention"] == "on"]


def _recorded_id(r):
    return f"{r['id'].split('/')[1]}-{r['context']}-{r['cache_type']}-ub{r['ubatch']}"


@pytest.mark.parametrize("entry", json.loads(PRESETS.read_text()), ids=lambda e: e["name"])
def test_the_tensors_add_up_to_the_published_number_of_weights(entry):
    shape = presets()[entry["name"]]
    assert sum(group.n_weights for group in weight_groups(shape)) == entry["n_weights"]
    assert shape.source


@pytest.mark.parametrize(
    "name, context, gib",
    [
        ("Llama-3.1-8B", 131_072, 16.0),
        ("Qwen3-0.6B", 40_960, 4.375),
        ("Qwen3-4B", 4_096, 576 / 1024),
        ("Llama-2-7B", 4_096, 2.0),
        ("Gemma-3-27B", 131_072, 10.40625),
    ],
)
def test_cache_of_known_models(name, context, gib):
    assert cache_bytes(presets()[name], context) == gib * GIB


def test_cache_of_latent_attention():
    assert cache_bytes(presets()["DeepSeek-V3.1"], 163_840) == 163_840 * 61 * (512 + 64) * 2
    assert round(cache_bytes(presets()["DeepSeek-V3.1"], 163_840) / GIB, 2) == 10.72


def test_naive_formulas_give_the_wrong_figures_of_the_literature():
    llama, qwen, gemma = (presets()[n] for n in ("Llama-3.1-8B", "Qwen3-0.6B", "Gemma-3-27B"))
    without_groups = dataclasses.replace(llama, n_kv_heads=llama.n_heads)
    assert cache_bytes(without_groups, 131_072) == 64 * GIB
    narrow = dataclasses.replace(qwen, head_size=qwen.hidden_size // qwen.n_heads)
    assert cache_bytes(narrow, 40_960) == 2.1875 * GIB
    everywhere = dataclasses.replace(gemma, window=None)
    assert cache_bytes(everywhere, 131_072) == 62 * GIB
    wide = dataclasses.replace(everywhere, head_size=gemma.hidden_size // gemma.n_heads)
    assert cache_bytes(wide, 131_072) == 81.375 * GIB


@pytest.mark.parametrize("name, per_value", [("Q8_0", 34 / 32), ("Q4_0", 18 / 32), ("F32", 4)])
def test_a_quantized_cache_counts_its_scales(name, per_value):
    llama = presets()["Llama-3.1-8B"]
    assert cache_bytes(llama, 4_096, name) == 4_096 * 32 * 2 * 8 * 128 * per_value


def test_windows_cap_the_cache():
    gemma = presets()["Gemma-3-27B"]
    full, window = cache_terms(gemma, 131_072)
    assert (full.n_layers, full.n_tokens) == (10, 131_072)
    assert (window.n_layers, window.n_tokens) == (52, 1_024)
    assert {t.n_tokens for t in cache_terms(gemma, 100)} == {100}
    mistral = presets()["Mistral-7B-v0.1"]
    assert cache_bytes(mistral, 32_768) == cache_bytes(mistral, 4_096)


def test_the_context_that_fills_a_size():
    llama, mistral = presets()["Llama-3.1-8B"], presets()["Mistral-7B-v0.1"]
    for size in (0, 131_071, 131_072, 10**9, 16 * GIB):
        tokens = tokens_that_fill(llama, size)
        assert cache_bytes(llama, tokens) > size >= cache_bytes(llama, tokens - 1)
    assert tokens_that_fill(mistral, GIB) is None  # its window keeps it at half a GiB


def test_sequences_multiply_the_cache():
    gemma = presets()["Gemma-3-27B"]
    assert cache_bytes(gemma, 8_192, n_sequences=3) == 3 * cache_bytes(gemma, 8_192)


@pytest.mark.parametrize("r", RECORDED, ids=_recorded_id)
def test_cache_equals_llama_cpps(r):
    shape = presets()[NAMES[r["id"]]]
    size = cache_bytes(shape, r["context"] // r["sequences"], r["cache_type"], r["sequences"])
    if shape.window:  # llama.cpp pads a window by the micro-batch and rounds up
        assert size <= r["context_mib"] * MIB
    else:
        assert int(size / MIB) == r["context_mib"]


@pytest.mark.parametrize("r", FLASH, ids=_recorded_id)
def test_compute_buffer_is_near_llama_cpps(r):
    shape = presets()[NAMES[r["id"]]]
    ratio = compute_buffer_bytes(shape, r["context"], r["ubatch"]) / MIB / r["compute_mib"]
    assert 0.96 < ratio < 1.04 or (shape.latent and 0.86 < ratio < 0.88)


@pytest.mark.parametrize("model_id", NAMES)
def test_weights_in_f16_equal_llama_cpps(model_id):
    (mib,) = {r["model_mib"] for r in RECORDED if r["id"] == model_id}
    size = stored_weights(presets()[NAMES[model_id]], "F16").total_bytes
    # Routers are F32 here as in a converted file; the recorded header-only files had them in F16.
    assert size / MIB == pytest.approx(mib, abs=1, rel=3e-4)


@pytest.mark.parametrize(
    "type_name, bits, gib",
    [
        ("F16", 16.0005, 14.96), ("Q8_0", 8.5008, 7.95), ("Q6_K", 6.5633, 6.14),
        ("Q5_K_M", 5.7036, 5.33), ("Q4_K_M", 4.8944, 4.58), ("Q4_K_S", 4.6672, 4.36),
        ("IQ4_XS", 4.4597, 4.17), ("Q3_K_L", 4.2979, 4.02), ("Q2_K", 3.1593, 2.95),
    ],
)  # fmt: skip
def test_bits_per_weight_of_llama_3_1_8b_as_published(type_name, bits, gib):
    stored = stored_weights(presets()["Llama-3.1-8B"], type_name)
    assert round(stored.bits_per_weight, 4) == bits
    assert round(stored.total_bytes / GIB, 2) == gib


def test_rows_that_do_not_divide_fall_back():
    stored = stored_weights(presets()["SmolLM2-135M"], "Q4_K pure")
    assert stored.fallbacks == {"Q5_0": 1 + 30 * 6}  # rows of 576; only ffn_down has 1,536
    assert stored.bits_per_weight > 5
    mixed = stored_weights(presets()["SmolLM2-135M"], "Q4_K_M")
    assert sum(mixed.fallbacks.values()) == 180  # as llama-quantize counts, which keeps Q8_0 apart
    assert round(mixed.bits_per_weight, 2) == 6.17
    assert stored_weights(presets()["SmolLM2-135M"], "Q8_0").fallbacks == {}


def test_parts_add_up():
    stored = stored_weights(presets()["Qwen3-30B-A3B"], "Q4_K")
    assert stored.total_bytes == sum(stored.bytes_by_part.values())
    assert stored.bytes_by_part["feed-forward"] > 0.9 * stored.total_bytes


def test_a_known_number_of_weights_wins_over_the_sizes():
    llama = presets()["Llama-3.1-8B"]
    doubled = stored_weights(dataclasses.replace(llama, n_weights=2 * llama.n_weights), "Q4_K")
    assert doubled.n_weights == 2 * llama.n_weights
    assert doubled.total_bytes == 2 * stored_weights(llama, "Q4_K").total_bytes


def test_impossible_sizes_are_refused():
    llama = presets()["Llama-3.1-8B"]
    with pytest.raises(ValueError, match="32 heads cannot share 7 KV heads"):
        dataclasses.replace(llama, n_kv_heads=7)
    with pytest.raises(ValueError, match="n_layers must be at least 1"):
        dataclasses.replace(llama, n_layers=0)
    with pytest.raises(ValueError, match="no cache of type Q4_K"):
        cache_bytes(llama, 1, "Q4_K")
    with pytest.raises(ValueError, match="heads of a multiple of 32, got 80"):
        cache_bytes(dataclasses.replace(llama, head_size=80), 1, "Q8_0")


def test_experts_count_once_each():
    llama = presets()["Llama-3.1-8B"]
    one = Experts(count=1, used=1, size=14_336)
    split = dataclasses.replace(llama, experts=one, n_weights=None)
    routers = llama.n_layers * llama.hidden_size
    assert stored_weights(split, "F16").n_weights == 8_030_261_248 + routers


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
    stored, planned = stored_weights(presets()["Mixtral-8x7B"], name), plan(raw, name)
    assert stored.total_bytes == planned.bytes + 2 * routers  # F32 here, F16 in the plan
