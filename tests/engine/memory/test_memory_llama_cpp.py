"""Cache and compute buffer against what llama.cpp's own allocator reports."""

import json
from dataclasses import fields, replace

import pytest

from quantcore.memory import stored_weights
from quantcore.memory.llama_cpp import (
    LlamaCppSetup,
    cache_bytes,
    cache_terms,
    compute_bytes,
    compute_terms,
    gpu_compute_terms,
    host_compute_terms,
    layer_cache_bytes,
    output_terms,
    refuse,
)
from quantcore.shape import preset, shape_from_json
from tests.support.places import GOLDEN

GOLDEN = json.loads((GOLDEN / "llama_cpp_memory.json").read_text())
MIB = 2**20
OPTIONS = {field.name for field in fields(LlamaCppSetup)}
SHAPES = [
    (entry["config"], entry["type"], case) for entry in GOLDEN["shapes"] for case in entry["cases"]
]
ANSWERED = [known for known in SHAPES if "refused" not in known[2]]
REFUSED = [known for known in SHAPES if "refused" in known[2]]
TINY = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96,
    "num_attention_heads": 4, "vocab_size": 100,
}  # fmt: skip


def name_of(known):
    config, _, case = known
    return f"{config['model_type']}-{'-'.join(str(case[key]) for key in case if key in OPTIONS)}"


def setup_of(case):
    return LlamaCppSetup(**{key: case[key] for key in case if key in OPTIONS})


def preset_setup(case):
    return LlamaCppSetup(
        context=case["context"],
        sequences=case["sequences"],
        key_type=case["cache_type"].upper(),
        value_type=case["cache_type"].upper(),
        ubatch=case["ubatch"],
        flash_attention=case["flash_attention"] == "on",
    )


def test_presets_take_what_llama_cpp_reports(subtests):
    for case in GOLDEN["presets"]:
        with subtests.test(**case):
            shape, setup = preset(case["id"]), preset_setup(case)
            assert cache_bytes(shape, setup) // MIB == case["context_mib"]
            assert compute_bytes(shape, setup) // MIB == case["compute_mib"]


def test_other_shapes_take_what_llama_cpp_reports(subtests):
    for known in ANSWERED:
        with subtests.test(name_of(known)):
            config, type_name, case = known
            shape, setup = shape_from_json(config), setup_of(case)
            weights = stored_weights(shape, type_name).total_bytes
            assert weights // MIB == pytest.approx(case["model_mib"], rel=0.01, abs=1)
            assert cache_bytes(shape, setup) // MIB == case["context_mib"]
            # The allocator is followed to the byte; small tensors may be left out.
            assert compute_bytes(shape, setup) / MIB == pytest.approx(case["compute_mib"], rel=2e-3)


def test_what_llama_cpp_refuses_is_refused(subtests):
    for known in REFUSED:
        config, _, case = known
        with (
            subtests.test(name_of(known)),
            pytest.raises(ValueError, match=r"cache|flash attention"),
        ):
            refuse(shape_from_json(config), setup_of(case))


@pytest.mark.parametrize("known", ANSWERED[::7], ids=name_of)
def test_terms_add_up(known):
    config, _, case = known
    shape, setup = shape_from_json(config), setup_of(case)
    assert sum(t.bytes for t in cache_terms(shape, setup)) == cache_bytes(shape, setup)
    assert sum(t.bytes for t in compute_terms(shape, setup)) == compute_bytes(shape, setup)


def test_the_fullest_moment_is_named():
    shape = preset("Llama-3.1-8B")
    first = compute_terms(shape, LlamaCppSetup())[0]
    assert (first.name, first.formula) == ("logits", "128,256 scores × 512 tokens × 4 B")
    slow = LlamaCppSetup(flash_attention=False, context=32_768)
    assert compute_terms(shape, slow)[0].formula == "32,768 cells × 512 tokens × 32 heads × 4 B"
    assert compute_terms(preset("Mixtral-8x7B-v0.1"), LlamaCppSetup())[0].name.startswith("experts")


def test_sequences_share_the_context_and_windows_are_padded():
    kept = cache_terms(preset("gemma-3-27b-it"), LlamaCppSetup(context=131_072, sequences=3))
    assert [term.formula for term in kept] == [
        "52 layers × 3 sequences × 1,536 cells × (2,048 + 2,048) × 2 B",
        "10 layers × 3 sequences × 43,776 cells × (2,048 + 2,048) × 2 B",
    ]
    together = LlamaCppSetup(context=131_072, sequences=3, unified=True)
    kept = cache_terms(preset("gemma-3-27b-it"), together)
    assert "3,584 cells" in kept[0].formula and "131,072 cells" in kept[1].formula


@pytest.mark.parametrize(
    "name, type_name, context, gpu_layers, cpu_experts, mib",
    [
        ("Llama-3.1-8B", "F16", 4096, None, 0, 258.50),
        ("Llama-3.1-8B", "F16", 4096, 20, 0, 258.50),
        ("Llama-3.1-8B", "F16", 131_072, 20, 0, 920.00),
        ("Llama-3.1-8B", "Q4_K_M", 4096, 0, 0, 751.41),
        ("Mixtral-8x7B-v0.1", "F16", 4096, None, 0, 196.01),
        ("Mixtral-8x7B-v0.1", "F16", 4096, 20, 0, 1056.00),
        ("Mixtral-8x7B-v0.1", "F16", 4096, 99, 10, 1036.01),
    ],
)
def test_buffer_of_a_gpu(name, type_name, context, gpu_layers, cpu_experts, mib):
    # Figures of llama-fit-params with a stand-in for a GPU that takes every operation.
    shape, setup = preset(name), LlamaCppSetup(context=context)
    stored = stored_weights(shape, type_name)
    terms = gpu_compute_terms(shape, setup, stored, gpu_layers, cpu_experts)
    assert sum(term.bytes for term in terms) / MIB == pytest.approx(mib, abs=0.01)


def test_a_gpu_borrows_what_lies_in_system_memory():
    shape, setup = preset("Llama-3.1-8B"), LlamaCppSetup(context=131_072)
    whole = {term.name for term in gpu_compute_terms(shape, setup)}
    assert not any("CPU" in name or "system" in name for name in whole)
    names = {t.name for t in gpu_compute_terms(shape, setup, stored_weights(shape, "F16"), 20)}
    assert {"keys of a layer on the CPU", "values of a layer on the CPU"} <= names


def test_flash_attention_on_cuda_reads_a_quantized_cache_in_f16():
    shape = preset("Llama-3.1-8B")
    setup = LlamaCppSetup(context=131_072, key_type="Q8_0", value_type="Q8_0")
    (keys,) = (t for t in gpu_compute_terms(shape, setup) if t.name == "keys of a layer in F16")
    assert keys.bytes == 131_072 * 1024 * 2


def test_buffer_beside_a_gpu():
    terms = host_compute_terms(preset("Llama-3.1-8B"), LlamaCppSetup())
    assert sum(term.bytes for term in terms) / MIB == pytest.approx(20.01, abs=0.01)


def test_caches_of_the_layers_add_up():
    shape, setup = preset("gemma-3-27b-it"), LlamaCppSetup(context=32_768, sequences=2)
    each = layer_cache_bytes(shape, setup)
    assert len(each) == 62 and len(set(each)) == 2
    assert sum(each) == cache_bytes(shape, setup)


def test_logits_of_each_sequence_are_kept_beside_the_buffer():
    (term,) = output_terms(preset("Llama-3.1-8B"), LlamaCppSetup(sequences=4))
    assert term.bytes == 4 * 128_256 * 4


@pytest.mark.parametrize(
    "options, words",
    [
        ({"value_type": "Q8_0", "flash_attention": False}, "only with flash attention"),
        ({"key_type": "Q8_0"}, "16 numbers per head do not divide"),
        ({"key_type": "Q4_K"}, "no cache of type Q4_K"),
        ({"sequences": 257}, "at most 256 sequences"),
        ({"ubatch": 0}, "ubatch must be at least 1"),
    ],
)
def test_refusals_say_why(options, words):
    with pytest.raises(ValueError, match=words):
        compute_bytes(shape_from_json(TINY), LlamaCppSetup(**options))


def test_latent_vectors_have_one_type():
    with pytest.raises(ValueError, match="give both the same cache type"):
        refuse(preset("DeepSeek-V2-Lite"), LlamaCppSetup(key_type="Q8_0"))


def test_the_queries_latent_vector_is_as_wide_as_its_matrix():
    """Whatever the header says of its size, or if it says nothing."""
    shape, setup = preset("DeepSeek-V3"), LlamaCppSetup(context=4096)
    silent = replace(shape, latent=replace(shape.latent, query_size=None))
    assert shape.latent.query_size and "blk.0.attn_q_a.weight" in shape.tensors
    assert compute_bytes(silent, setup) == compute_bytes(shape, setup)
