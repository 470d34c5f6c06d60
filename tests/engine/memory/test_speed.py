"""Bounds of speed: above what was measured, and what follows from bytes and bandwidth."""

from dataclasses import replace

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.fitting import place
from quantcore.memory.hardware import gpus, machine, macs, systems
from quantcore.memory.speed import experts_read, prompt_flops, speed_bound
from quantcore.shape import preset

G, RAM = gpus(), systems()["64 GB DDR5-5600"]
LLAMA = Setup(runtime="llama.cpp", context=512)


def _bound(model, setup, on):
    shape = preset(model)
    return speed_bound(estimate(shape, setup), place(shape, setup, on), on)


@pytest.mark.parametrize(
    ("mac", "tokens_per_s", "prompt_tokens_per_s"),
    [("M1 Max, 64 GB", 46.2, 499.58), ("M4, 16 GB", 20.87, 224.81)],
)
def test_measured_speeds_stay_below_the_bound(mac, tokens_per_s, prompt_tokens_per_s):
    """Llama 3.1 8B in Q4_K_M: brand-o/normiebench, issues 40 and 3 (tg128, pp512)."""
    bound = _bound("Llama-3.1-8B", LLAMA, macs()[mac])
    assert 0.5 * bound.tokens_per_s < tokens_per_s < bound.tokens_per_s
    assert 0.5 * bound.prompt_tokens_per_s < prompt_tokens_per_s < bound.prompt_tokens_per_s


def test_a_token_reads_all_weights_but_the_embedding_and_all_of_the_cache():
    taken = estimate(preset("Llama-3.1-8B"), LLAMA)
    embedding = next(t.bytes for t in taken.stored.tensors if t.name == "token_embd.weight")
    constants = sum(t.bytes for t in taken.stored.tensors if t.name.startswith("rope_"))
    (read,) = _bound("Llama-3.1-8B", LLAMA, machine([G["RTX 4090"]])).reads
    assert read.bytes == taken.weights_bytes - embedding - constants + taken.kv_cache_bytes
    assert read.seconds == read.bytes / 1008e9


@pytest.mark.parametrize("runtime", ["none", "llama.cpp"])
def test_a_tied_embedding_is_read_for_the_logits(runtime):
    setup = replace(LLAMA, runtime=runtime)
    taken = estimate(preset("gemma-3-1b-it"), setup)
    for on in (machine([G["RTX 4090"]]), machine((), RAM)):
        (read,) = _bound("gemma-3-1b-it", setup, on).reads
        assert read.bytes == pytest.approx(taken.weights_bytes + taken.kv_cache_bytes, rel=1e-4)


def test_devices_compute_one_after_the_other():
    slow = _bound("Llama-2-70b-hf", LLAMA, machine([G["RTX 3090"]], RAM))
    gpu, system = slow.reads
    assert slow.tokens_per_s == pytest.approx(1 / (gpu.seconds + system.seconds))
    assert system.seconds == system.bytes / 89.6e9
    both = _bound("Llama-2-70b-hf", LLAMA, machine([G["RTX 3090"]] * 2, RAM))
    assert len(both.reads) == 2
    assert both.tokens_per_s == pytest.approx(936e9 / both.step_bytes)
    assert both.step_bytes == pytest.approx(slow.step_bytes, rel=1e-6)


def test_vllms_gpus_compute_at_once():
    setup = Setup(type_name="BF16", runtime="vllm", context=1024)
    one = _bound("Llama-3.1-8B", setup, machine([G["H100 80 GB"]]))
    two = _bound("Llama-3.1-8B", setup, machine([G["H100 80 GB"]] * 2))
    assert two.tokens_per_s == pytest.approx(2 * one.tokens_per_s, rel=1e-6)


def test_sequences_share_the_weights():
    one = _bound("Llama-3.1-8B", Setup(context=256), machine([G["RTX 4090"]]))
    many = _bound("Llama-3.1-8B", Setup(context=256, sequences=16), machine([G["RTX 4090"]]))
    cache = estimate(preset("Llama-3.1-8B"), Setup(context=256)).kv_cache_bytes
    assert many.step_bytes - one.step_bytes == 15 * cache
    assert many.tokens_per_s > 14 * one.tokens_per_s


def test_only_active_experts_are_read():
    """Mixtral: 2 of 8 experts; a batch reads more of them."""
    taken = estimate(preset("Mixtral-8x7B-v0.1"), LLAMA)
    experts = taken.stored.bytes_by_part["experts"]
    (read,) = _bound("Mixtral-8x7B-v0.1", LLAMA, machine([G["H100 80 GB"]])).reads
    assert read.bytes < taken.total_bytes - 0.74 * experts
    assert experts_read(preset("Mixtral-8x7B-v0.1"), 1000) == pytest.approx(1)
    assert experts_read(preset("Llama-3.1-8B"), 5) == 1


def test_experts_on_the_cpu_are_read_there():
    bound = _bound("gpt-oss-120b", LLAMA, machine([G["RTX 3090"]], RAM))
    gpu, system = bound.reads
    shape = preset("gpt-oss-120b")
    taken = estimate(shape, LLAMA)
    kept = place(shape, LLAMA, machine([G["RTX 3090"]], RAM)).experts_on_cpu
    each = taken.stored.bytes_by_part["experts"] / 36 * 4 / 128
    assert system.bytes == pytest.approx(kept * each, rel=0.1)
    assert gpu.bytes + system.bytes == bound.step_bytes


def test_operations_of_a_prompt():
    """Two a weight, and for a pair of tokens two for the score and two for the value, a head value.

    Llama-2-7B: 6.476 billion weights in layers; 32 layers x 4,096 x 4 x 2,048^2 / 2.
    """
    layers = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 64 * 4096
    attention = 32 * 4096 * 4 * 2048**2 / 2
    assert prompt_flops(preset("Llama-2-7b-hf"), 2048) == pytest.approx(
        2 * layers * 2048 + attention, rel=1e-6
    )
    # A window of 4,096 in all layers: pairs beyond it are not computed.
    shape = preset("Mistral-7B-v0.1")
    longer = prompt_flops(shape, 32_768) - 2 * (shape.active_weights - 262_144_000) * 32_768
    assert longer == pytest.approx(32 * 4096 * 4 * (32_768 * 4096 - 4096**2 / 2), rel=1e-4)


def test_what_is_not_known_is_not_bounded():
    bound = _bound("Llama-2-70b-hf", LLAMA, machine([G["RTX 3090"]]))
    assert bound.reads[1].seconds is None and bound.tokens_per_s is None
    assert bound.prompt_tokens_per_s is not None
    assert _bound("gemma-3-1b-it", LLAMA, machine((), RAM)).prompt_tokens_per_s is None


def test_a_pool_is_as_fast_as_its_fastest():
    bound = _bound("Llama-2-70b-hf", Setup(context=512), machine([G["RTX 4090"], G["L40S"]]))
    (read,) = bound.reads
    assert read.device == "RTX 4090" and read.seconds == read.bytes / 1008e9
