"""Rules of thumb: their numbers by hand, and reasons that follow the model."""

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.examples import EXAMPLES
from quantcore.memory.fitting import place, settled
from quantcore.memory.hardware import gpus, machine, macs
from quantcore.memory.rules_of_thumb import nominal_bits, rules_of_thumb
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.shape import preset, preset_ids


def _rules(model, **setup):
    return rules_of_thumb(estimate(preset(model), Setup(**setup)))


def test_numbers_are_those_of_the_articles():
    """Llama-3-70B at 4 bits: 70.6 x 4 / 8 x 1.2 = 42.3 GB; Modal writes 70 and 42."""
    half, fifth, plus, cache, heads, guessed = _rules("Meta-Llama-3-70B", context=8192)
    n = 70_553_706_496
    assert half.bytes == n // 2
    assert fifth.bytes == round(1.2 * (n // 2))
    assert (plus.bytes, plus.most_bytes) == (n // 2 + 10**9, n // 2 + 2 * 10**9)
    assert cache.bytes == round(0.2 * (n // 2))
    assert heads.bytes == 2 * 80 * 8192 * 8192 * 2
    assert guessed.bytes * 8 == heads.bytes
    assert half.formula == "70.6 billion × 4 bits / 8"
    assert heads.formula == "2 × 80 × 8,192 × 8,192 × 2 B"


def test_a_range_is_right_anywhere_inside():
    plus = _rules("Llama-2-7b-hf", type_name="Q8_0", context=2048)[2]
    assert plus.bytes < plus.exact_bytes < plus.most_bytes and plus.factor == 1
    longer = _rules("Llama-2-7b-hf", type_name="Q8_0", context=65_536)[2]
    assert longer.factor == longer.exact_bytes / longer.most_bytes > 3


@pytest.mark.parametrize(
    ("model", "context", "gib", "exact_gib", "guessed", "why"),
    [
        ("Llama-3.1-8B", 131_072, 64, 16, False, "8 KV heads serve 32 heads"),
        ("Qwen3-0.6B", 40_960, 2.1875, 4.375, True, "128 numbers, not hidden / heads = 64"),
        ("gemma-3-27b-it", 131_072, 81.375, 10.406, True, "52 of 62 layers keep 1,024 tokens"),
        ("Llama-2-7b-hf", 4096, 2, 2, True, "so it is right"),
        ("Llama-2-7b-hf", 4096, 2, 2, False, "so it is right"),
    ],
)
def test_the_caches_are_the_published_ones(model, context, gib, exact_gib, guessed, why):
    """Right and wrong figures as published for these models."""
    rule = _rules(model, context=context)[-1 if guessed else -2]
    assert rule.bytes / 2**30 == gib
    assert rule.exact_bytes / 2**30 == pytest.approx(exact_gib, abs=5e-4)
    assert why in rule.why
    assert rule.factor == rule.exact_bytes / rule.bytes


def test_latent_attention_is_named():
    why = _rules("DeepSeek-V3", context=163_840)[-2].why
    assert why == "one latent vector of 576 numbers stands for keys and values"


def test_a_file_without_a_name_has_the_bits_that_it_stores():
    shape = preset("Llama-3.1-8B")
    stored = estimate(shape, Setup(type_name="Q5_K_M")).stored
    taken = estimate(shape, Setup(type_name="as in the file"), stored)
    assert nominal_bits("as in the file") is None
    assert rules_of_thumb(taken)[0].formula == "8.03 billion × 6 bits / 8"


def test_bits_by_name():
    assert all(1 <= nominal_bits(name) <= 32 for name in FILE_TYPES)
    assert [nominal_bits(n) for n in ("F32", "Q8_0", "GPTQ", "FP8_BLOCK", "NF4_DQ", "INT8")] == [
        32, 8, 4, 8, 4, 8,
    ]  # fmt: skip


def test_every_rule_can_be_told_of_every_model():
    for model in preset_ids()[::4]:
        for rule in _rules(model, context=2048, sequences=2):
            assert rule.why and rule.source and rule.formula and rule.bytes > 0
            assert rule.exact_bytes > 0


def test_a_quantized_cache_and_bits_are_named():
    rules = _rules("Llama-3.1-8B", key_type="Q8_0", value_type="Q8_0")
    assert "kept in Q8_0 and Q8_0" in rules[-1].why
    assert rules[0].why.startswith("Q4_K_M stores 4.89 bits per weight, not 4: scales, and ")
    assert "as its name says" in _rules("Llama-3.1-8B", type_name="BF16")[0].why


def test_examples_are_what_they_say():
    """The 70B does not go to the GPU of the Mac, for all that 42 GB are less than 48."""
    devices = {**macs(), **{name: machine([card]) for name, card in gpus().items()}}
    for example in EXAMPLES:
        taken = estimate(preset(example.model_id), example.setup)
        assert taken.total_bytes > example.said_bytes * 0.95
        assert not example.machine or example.machine in devices
    mac = next(e for e in EXAMPLES if "Mac" in e.name)
    on = devices[mac.machine]
    assert not settled(place(preset(mac.model_id), mac.setup, on), on)
    nine = next(e for e in EXAMPLES if "8 bits" in e.name)
    total = estimate(preset(nine.model_id), nine.setup).total_bytes
    assert total == pytest.approx(9e9, rel=0.05)
