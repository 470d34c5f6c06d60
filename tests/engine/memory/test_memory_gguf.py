"""Sizes from the headers of GGUF files, of any architecture, as llama.cpp takes them."""

import pytest

from quantcore.memory import cache_bytes, find_shape
from quantcore.memory.lookup.gguf_shape import find_in_gguf
from quantcore.shape import preset, shape_from_json
from tests.support.gguf_bytes import gguf_bytes
from tests.support.lookups import LAYER, header, looked_up, no_network, refused  # noqa: F401
from tests.support.newer_configs import FAMILIES


def test_a_gguf_file_is_exact_as_stored(tmp_path):
    path = tmp_path / "tiny-Q8_0.gguf"
    own = {"block_count": 1, "embedding_length": 64, "attention.head_count": 4}
    path.write_bytes(
        gguf_bytes(
            {"general.architecture": "llama"} | {f"llama.{key}": n for key, n in own.items()},
            {
                "token_embd.weight": ([64, 10], 8, bytes(10 * 2 * 34)),
                "output_norm.weight": ([64], 0, bytes(256)),
            },
        )
    )
    model = find_shape(path)
    assert model.stored_bytes == model.stored.total_bytes == 680 + 256
    assert model.stored_types == {"token_embd.weight": "Q8_0", "output_norm.weight": "F32"}
    assert model.shape.tensors == {"token_embd.weight": (10, 64), "output_norm.weight": (64,)}
    assert model.shape.name == "tiny-Q8_0"


@pytest.mark.parametrize("architecture", [["llama"], 7, "", "a" * 99])
def test_an_architecture_that_is_no_word_is_one_sentence(tmp_path, architecture):
    path = tmp_path / "odd.gguf"
    path.write_bytes(gguf_bytes({"general.architecture": architecture}, {}))
    refused(path, "does not say what architecture it is of")


def test_a_folder_with_one_gguf_file_is_that_model(tmp_path):
    own = {"llama.block_count": 1, "llama.embedding_length": 64, "llama.attention.head_count": 4}
    stored = {"token_embd.weight": ([64, 10], 8, bytes(680))}
    whole = gguf_bytes({"general.architecture": "llama"} | own, stored)
    (tmp_path / "one.gguf").write_bytes(whole)
    (tmp_path / "mmproj-one.gguf").write_bytes(b"")
    assert find_shape(tmp_path) == find_shape(tmp_path / "one.gguf")
    (tmp_path / "two.gguf").write_bytes(whole)
    refused(tmp_path, r"holds 2 GGUF files, name one: one\.gguf, two\.gguf\.")


GGUF_KEYS = {  # as the converter writes them for these models
    "meta-llama/Llama-3.1-8B": ("llama", {}),
    "google/gemma-3-1b-it": ("gemma3", {"attention.sliding_window": 512}),
    "google/gemma-2-9b": ("gemma2", {"attention.sliding_window": 4096}),
    "openai/gpt-oss-20b": ("gpt-oss", {"attention.sliding_window": 128}),
    "Qwen/Qwen3-30B-A3B": ("qwen3moe", {"expert_feed_forward_length": 768}),
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": ("llama4", {"expert_feed_forward_length": 8192}),
    "deepseek-ai/DeepSeek-V3": (
        "deepseek2",
        {"attention.kv_lora_rank": 512, "attention.q_lora_rank": 1536, "rope.dimension_count": 64,
         "attention.key_length_mla": 192, "attention.value_length_mla": 128,
         "attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512,
         "expert_feed_forward_length": 2048, "expert_shared_count": 1,
         "leading_dense_block_count": 3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("model_id", GGUF_KEYS)
def test_metadata_say_the_same_as_config_json(model_id):
    expected, (architecture, own) = preset(model_id), GGUF_KEYS[model_id]
    sizes = {
        "block_count": expected.n_layers,
        "context_length": expected.context_length,
        "embedding_length": expected.hidden_size,
        "feed_forward_length": expected.feed_forward_size,
        "attention.head_count": expected.n_heads,
        "attention.head_count_kv": expected.n_kv_heads,
        "attention.key_length": expected.head_size,
        "attention.value_length": expected.head_size,
    }
    if expected.experts:
        sizes["expert_count"] = expected.experts.count
        sizes["expert_used_count"] = expected.experts.used
    file = header(architecture, sizes | own, expected.tensors)
    shape = find_in_gguf(file, expected.name, expected.source).shape
    for field in ("architecture", "n_layers", "caches", "experts", "latent", "tensors", "n_weights",
                  "tied_embedding", "vocabulary_size", "context_length", "estimated"):  # fmt: skip
        assert getattr(shape, field) == getattr(expected, field), field


def test_a_file_with_an_indexer_keeps_its_keys_too():
    """GLM-5: keys as gguf's constants name them; the cache is the one of llama.cpp's log."""
    expected = shape_from_json(FAMILIES["glm_moe_dsa"], "GLM-5")
    file = header(
        "glm-dsa",
        {
            "block_count": 78, "context_length": 202_752, "embedding_length": 6144,
            "feed_forward_length": 12_288, "attention.head_count": 64,
            "attention.head_count_kv": 1, "attention.key_length": 576,
            "attention.value_length": 512, "attention.key_length_mla": 256,
            "attention.value_length_mla": 256, "attention.kv_lora_rank": 512,
            "attention.q_lora_rank": 2048, "rope.dimension_count": 64, "expert_count": 256,
            "expert_used_count": 8, "expert_feed_forward_length": 2048, "expert_shared_count": 1,
            "leading_dense_block_count": 3, "attention.indexer.head_count": 32,
            "attention.indexer.key_length": 128, "attention.indexer.top_k": 2048,
        },
        expected.tensors,
    )  # fmt: skip
    shape = find_in_gguf(file, "GLM-5", "the file").shape
    assert (shape.caches, shape.latent) == (expected.caches, expected.latent)
    assert not shape.estimated


@pytest.mark.parametrize(
    "architecture, own, kinds",
    [
        ("qwen3next", {}, ["state"] * 3 + ["full"]),
        ("jamba", {"attention.head_count_kv": [0, 4, 0, 0]}, ["state", "full", "state", "state"]),
        ("deci", {"attention.head_count_kv": [0, 4, 2, 4]}, ["none"] + ["full"] * 3),
        ("mamba", {"attention.head_count": 0}, ["state"] * 4),
        (
            "gemma4",
            {"attention.sliding_window": 8, "attention.shared_kv_layers": 1,
             "attention.sliding_window_pattern": [True, False, True, True]},
            ["window", "full", "window", "none"],
        ),
        ("smallthinker", {"attention.sliding_window": 8}, ["full"] + ["window"] * 3),
        ("mistral3", {"attention.sliding_window": 8}, ["full"] * 4),
        (
            "nemotron_h",
            {"attention.head_count_kv": [0, 0, 4, 0], "feed_forward_length": [0, 9, 0, 0]},
            ["state", "none", "full", "state"],
        ),
    ],
)  # fmt: skip
def test_each_layer_keeps_what_llama_cpp_keeps(architecture, own, kinds):
    assert [cache.kind for cache in looked_up(architecture, own).caches] == kinds


SSM = ("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.group_count")
ONE_OF_EIGHT = [8 if layer == 4 else 0 for layer in range(8)]
SIX_OF_SIXTEEN = [8 if layer in (2, 5, 8, 10, 12, 14) else 0 for layer in range(16)]


@pytest.mark.parametrize(
    "architecture, own, mib",
    [
        ("mamba", dict(zip(SSM, (4, 1536, 16), strict=False)) | {"block_count": 32}, 3.5625),
        ("mamba2", dict(zip(SSM, (4, 8192, 128, 8), strict=True)) | {"block_count": 8}, 32.9375),
        (
            "jamba",
            dict(zip(SSM, (4, 8192, 16), strict=False))
            | {"block_count": 8, "attention.head_count_kv": ONE_OF_EIGHT,
               "attention.key_length": 128},
            8 + 4.15625,
        ),
        (
            "qwen3next",
            dict(zip(SSM, (4, 4096, 128, 16), strict=True))
            | {"block_count": 8, "attention.head_count_kv": 2, "attention.key_length": 256},
            8 + 12.5625,
        ),
        (
            "lfm2",
            {"shortconv.l_cache": 3, "block_count": 16, "embedding_length": 1024,
             "attention.head_count_kv": SIX_OF_SIXTEEN, "attention.key_length": 64},
            24 + 0.078125,
        ),
    ],
)  # fmt: skip
def test_the_cache_is_what_llama_cpp_reports(architecture, own, mib):
    """Its log for such headers: "kv_cache: size" and "memory_recurrent: size" at 2,048 tokens."""
    if key := own.get("attention.key_length"):
        own = own | {"attention.value_length": key}
    assert cache_bytes(looked_up(architecture, own), 2048) == mib * 2**20


@pytest.mark.parametrize(
    "architecture, n_layers, more, n_full",
    [
        ("cohere2", 8, {}, 2),
        ("exaone4", 8, {}, 8),
        ("exaone4", 64, {}, 16),
        ("olmo2", 8, {}, 2),
        ("gemma3", 8, {}, 1),
        ("gemma3", 8, {"attention.sliding_window_pattern": [True, False] * 4}, 4),
        ("mistral3", 8, {}, 8),
        ("llama", 8, {}, 8),
        ("qwen3", 8, {}, 8),
    ],
)
def test_as_many_layers_have_a_window_as_in_llama_cpp(architecture, n_layers, more, n_full):
    """Its log for such headers says how many layers each of the two caches has."""
    own = {"block_count": n_layers, "attention.sliding_window": 512} | more
    shape = looked_up(architecture, own)
    assert (shape.n_full_layers, shape.n_layers) == (n_full, n_layers)


def test_states_beside_keys_and_without():
    rwkv = looked_up("rwkv7", {"wkv.head_size": 32, "token_shift_count": 2}).caches[0]
    assert rwkv.state_values == 2 * 64 + 64 * 32
    ssm = dict(zip(SSM, (4, 128, 16), strict=False)) | {"attention.head_count_kv": 2}
    both = looked_up("falcon-h1", ssm).caches[0]
    assert (both.kind, both.key_values, both.state_values) == ("full", 32, 3 * 128 + 16 * 128)


def test_an_unknown_architecture_in_a_gguf_file_is_counted_and_said():
    shape = looked_up("newest", {"attention.head_count_kv": 2})
    assert "does not know the architecture 'newest'" in shape.estimated
    assert (shape.n_weights, shape.caches) == (6400, (LAYER,) * 4)


@pytest.mark.parametrize(
    "own, pattern",
    [
        ({"block_count": 0}, "block_count 0; expected 1 to 1,000"),
        ({"block_count": 2**31}, "block_count 2147483648; expected"),
        ({"block_count": "x"}, "block_count 'x'; expected"),
        ({"attention.head_count_kv": [2, 2]}, "2 numbers in llama.attention.head_count_kv for 4"),
        ({"attention.key_length": -1}, "key_length -1"),
        ({"attention.key_length": 1.5}, "key_length 1.5"),
        ({"attention.key_length": [float("nan")]}, "key_length"),
        ({"expert_count": 4, "expert_used_count": 5}, "5 experts per token are more than the 4"),
        ({"embedding_length": 10**30}, "of more than 18 digits"),
    ],
)
def test_metadata_that_make_no_sense(own, pattern):
    refused(own, pattern, lambda own: looked_up("llama", own))


def test_what_is_no_language_model():
    for architecture, general, what in [
        ("clip", {}, "the vision part"),
        ("llama", {"type": "adapter"}, "an adapter"),
        ("imatrix", {"type": "imatrix"}, "an importance matrix"),
        (7, {}, "does not say what architecture"),
        ("llama", {}, "a vocabulary only"),
    ]:
        file = header(architecture, {}, {}, **general)
        refused(file, what, lambda file: find_in_gguf(file, "m", "s"))
