"""The cache as products: with its numbers put in, the formula gives the bytes of every model."""

from dataclasses import replace

import pytest

from quantcore.memory import cache_terms
from quantcore.memory.factors import bytes_of, cache_products
from quantcore.shape import preset, preset_ids, shape_from_json


def _products(shape, context=4096, n_sequences=1, cache_type="F16"):
    terms = cache_terms(shape, context, n_sequences, cache_type, cache_type)
    return cache_products(shape, terms, cache_type), sum(term.bytes for term in terms)


def _written(product):
    return " × ".join(map(str, product))


@pytest.mark.parametrize("cache_type", ["F16", "F32", "Q8_0", "FP8"])
def test_products_multiply_out_to_the_bytes_of_every_known_model(cache_type):
    """At a context beyond every window, for three sequences."""
    counted = 0
    for model_id in preset_ids():
        shape = preset(model_id)
        try:
            products, n_bytes = _products(shape, 20_000, 3, cache_type)
        except ValueError as problem:
            assert "heads of a multiple of 32" in str(problem)
            continue
        assert sum(map(bytes_of, products)) == n_bytes, model_id
        counted += 1
    assert counted > len(preset_ids()) / 2


def test_kinds_of_layers_have_a_line_each():
    gemma, _ = _products(preset("gemma-3-27b-it"), 8192)
    assert sorted(map(_written, gemma)) == [
        "10 × 8,192 × 2 × 16 × 128 × 2",
        "52 × 1,024 × 2 × 16 × 128 × 2",
    ]
    windows = next(product for product in gemma if product[0].value == 52)
    assert [factor.what for factor in windows[:2]] == [
        "layers with a window",
        "tokens that are seen",
    ]


def test_latent_attention_keeps_a_sum():
    (deepseek,), n_bytes = _products(preset("DeepSeek-V3"), 1000)
    assert _written(deepseek) == "61 × 1,000 × (512 + 64) × 2"
    assert bytes_of(deepseek) == n_bytes


def test_a_recurrent_layer_keeps_its_state():
    raw = {"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "state_size": 16,
           "conv_kernel": 4, "expand": 2, "time_step_rank": 48, "vocab_size": 50_280}  # fmt: skip
    shape = shape_from_json(raw, "mamba", "by hand")
    (states,), n_bytes = _products(shape, 5000, 2)
    numbers = 1536 * (16 + 3)  # expanded: a state of 16, and 3 inputs of the convolution before
    assert [factor.value for factor in states] == [24, numbers, 4, 2]
    assert bytes_of(states) == n_bytes == 24 * numbers * 4 * 2


def test_keys_and_values_of_unlike_length_are_added():
    shape = preset("Llama-3.1-8B")
    odd = tuple(replace(cache, key_values=192, value_values=128) for cache in shape.caches)
    (product,), n_bytes = _products(replace(shape, caches=odd), 100)
    assert _written(product) == "32 × 100 × (192 + 128) × 2"
    assert bytes_of(product) == n_bytes
