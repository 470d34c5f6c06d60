"""Models of 2025 and 2026: weights as transformers counts them, caches as logs print them."""

import json

import pytest

from quantcore.memory import Setup, estimate
from quantcore.shape import shape_from_json
from tests.support.newer_configs import FAMILIES
from tests.support.places import GOLDEN

COUNTED = json.loads((GOLDEN / "newer_counts.json").read_text(encoding="utf-8"))
GIB = 2**30


@pytest.mark.parametrize(
    "row", COUNTED, ids=lambda row: f"{row['config']['model_type']}-{row['weights']}"
)
def test_weights_are_those_that_transformers_counts(row):
    shape = shape_from_json(row["config"])
    assert shape.n_weights == row["weights"] + row["corrections"]
    assert not shape.estimated
    assert len(shape.caches) == shape.n_layers


def test_global_layers_are_told_by_their_name_however_long_the_context():
    config = FAMILIES["gemma4_text"]
    whole, short = (
        shape_from_json(config | {"max_position_embeddings": n}) for n in (262_144, 512)
    )
    assert short.n_weights == whole.n_weights
    rows = {(c.kind, c.key_values) for c in short.caches}
    assert rows == {("full", 16 * 256), ("full", 4 * 512)}


def test_every_family_is_counted_at_its_published_size():
    kinds = [row["config"]["model_type"] for row in COUNTED]
    assert set(kinds) == set(FAMILIES)
    for config in FAMILIES.values():
        assert config in [row["config"] for row in COUNTED]


@pytest.mark.parametrize(
    ("kind", "setup", "gib"),
    [  # as llama.cpp's logs print them; without a runtime, what keys and values take
        ("qwen3_5_text", {"runtime": "llama.cpp", "context": 262_144, "sequences": 4}, 16.584),
        ("gemma4_text", {"runtime": "llama.cpp", "context": 262_144}, 21.170),
        ("glm_moe_dsa", {"runtime": "llama.cpp", "context": 131_072}, 13.410),
        ("glm4_moe_lite", {"context": 131_072}, 6.610),
        ("nemotron_h", {"context": 131_072}, 0.797),
        ("falcon", {"context": 2048}, 0.0156),
    ],
)
def test_caches_are_those_of_published_logs(kind, setup, gib):
    taken = estimate(shape_from_json(FAMILIES[kind]), Setup(type_name="F16", **setup))
    assert taken.kv_cache_bytes / GIB == pytest.approx(gib, abs=0.006 if gib > 1 else 0.0005)


def test_layers_with_attention_and_a_state_keep_both():
    """Falcon-H1-7B: 24 heads of 128 with a state of 256, and (4 - 1) inputs of the convolution."""
    shape = shape_from_json(FAMILIES["falcon_h1"])
    states = 44 * 4 * (24 * 128 * 256 + 3 * (3072 + 2 * 256))
    for runtime in ("none", "llama.cpp"):
        taken = estimate(shape, Setup(type_name="F16", context=8192, runtime=runtime))
        terms = {term.name: term.bytes for term in taken.terms if term.kind == "cache"}
        assert terms["states of recurrent layers"] == states
        assert terms["cache of layers that see everything"] == 44 * 8192 * 2 * 2 * 128 * 2


@pytest.mark.parametrize("kind", ["glm_moe_dsa", "falcon_h1", "gemma4_text"])
def test_a_compute_buffer_that_nobody_checked_is_marked(kind):
    shape = shape_from_json(FAMILIES[kind])
    under = estimate(shape, Setup(type_name="F16", runtime="llama.cpp", context=4096))
    assert "never held against llama.cpp" in under.compute_estimated
    assert not estimate(shape, Setup(type_name="F16", context=4096)).compute_estimated
    known = shape_from_json(FAMILIES["granitemoehybrid"])
    checked = estimate(known, Setup(type_name="F16", runtime="llama.cpp", context=4096))
    assert not checked.compute_estimated


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("nemotron_h", {"hybrid_override_pattern": "M" * 51}, "has not as many"),
        ("nemotron_h", {"hybrid_override_pattern": "Q" * 52}, "layers of type 'Q'"),
        ("nemotron_h", {"hybrid_override_pattern": 7}, "has not as many"),
        ("falcon_h1", {"mamba_d_ssm": 0}, "mamba_d_ssm 0"),
        ("glm_moe_dsa", {"index_head_dim": "wide"}, "index_head_dim"),
        ("gemma4_text", {"global_head_dim": -1}, "global_head_dim"),
        ("gemma4_text", {"layer_types": None}, "no layer_types"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(kind, change, says):
    with pytest.raises(ValueError, match=says):
        shape_from_json(FAMILIES[kind] | change)


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("gemma4_text", {"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input"),
        ("gemma4_text", {"num_kv_shared_layers": 20}, "num_kv_shared_layers"),
        ("gemma4_text", {"enable_moe_block": True, "num_experts": 128, "num_experts_per_tok": 8},
         "enable_moe_block"),
        ("nemotron_h", {"moe_latent_size": 1024}, "moe_latent_size"),
        ("falcon", {"n_experts_of_tomorrow": 8}, "n_experts_of_tomorrow"),
        ("smollm3", {"a_dim": 1, "b_dim": 2, "c_dim": 3, "d_dim": 4, "e_dim": 5, "f_dim": 6},
         "a_dim, b_dim, c_dim, d_dim, e_dim and 1 more"),
    ],
)  # fmt: skip
def test_a_key_that_may_change_sizes_and_that_nobody_reads_is_named(kind, change, named):
    assert named in shape_from_json(FAMILIES[kind] | change).estimated


def test_an_unknown_architecture_is_said_to_be_one_with_what_was_passed_over():
    config = FAMILIES["smollm3"] | {"model_type": "brand_new", "latent_dim": 64}
    said = shape_from_json(config).estimated
    assert "does not know the architecture 'brand_new'" in said and "latent_dim" in said


def test_what_changes_no_sizes_is_not_named():
    quiet = {
        "num_nextn_predict_layers": 1, "router_aux_loss_coef": 0.1, "initializer_range": 0.02,
        "max_window_layers": 28, "n_group": 8, "qk_head_dim": 192, "enable_moe_block": False,
        "moe_intermediate_dim": None, "norm_topk_prob": True, "attention_dropout": 0.1,
    }  # fmt: skip
    assert not shape_from_json(FAMILIES["glm4_moe_lite"] | quiet).estimated
