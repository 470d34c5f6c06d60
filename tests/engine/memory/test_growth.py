"""How memory grows: caches by context and sequences, the compute buffer by micro-batch."""

from dataclasses import replace

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.growth import cache_growth, compute_by_batch, with_sequences
from quantcore.memory.hardware import gpus, machine, macs, system_memory
from quantcore.shape import preset

LLAMA = preset("Llama-3.1-8B")
KIB = 1024


def test_a_cache_grows_by_its_bytes_a_token():
    """Llama-3.1-8B keeps 128 KiB a token in F16, 17/32 of that in Q8_0, 9/32 in Q4_0."""
    growth = cache_growth(estimate(LLAMA, Setup(context=2048, shared_prefix=7)), (512, 8192))
    assert growth.contexts == (512, 8192)
    assert growth.cache_bytes == {
        "F16": (512 * 128 * KIB, 8192 * 128 * KIB),
        "Q8_0": (512 * 68 * KIB, 8192 * 68 * KIB),
        "Q4_0": (512 * 36 * KIB, 8192 * 36 * KIB),
    }
    of_all_heads = growth.misread_bytes["2 × layers × hidden size × tokens × 2 bytes"]
    assert of_all_heads == (512 * 512 * KIB, 8192 * 512 * KIB)


def test_the_set_ups_own_cache_comes_first():
    taken = estimate(LLAMA, Setup(key_type="Q8_0", value_type="F16", context=256))
    growth = cache_growth(taken, (256,))
    assert list(growth.cache_bytes) == ["Q8_0", "F16", "Q4_0"]
    assert growth.cache_bytes["Q8_0"] == (taken.kv_cache_bytes,) == (256 * (64 + 34) * KIB,)


def test_the_crossing_is_where_the_cache_outgrows_the_weights():
    taken = estimate(LLAMA, Setup())
    tokens = cache_growth(taken, (4096,)).crossing_tokens
    below, above = (
        estimate(LLAMA, Setup(context=n)).kv_cache_bytes - taken.weights_bytes
        for n in (tokens - 1, tokens)
    )
    assert below <= 0 < above
    gemma = estimate(preset("gemma-3-27b-it"), Setup(type_name="F16"))
    assert cache_growth(gemma, (4096,)).crossing_tokens > 131_072


def test_formulas_that_are_right_are_not_called_wrong():
    assert cache_growth(estimate(preset("Llama-2-7b-hf"), Setup()), (512, 4096)).misread_bytes == {}


def test_heads_that_blocks_do_not_divide_keep_sixteen_bits():
    odd = replace(LLAMA, head_size=80)
    assert list(cache_growth(estimate(odd, Setup()), (512,)).cache_bytes) == ["F16"]


def test_what_a_runtime_does_not_keep_is_the_models_own():
    """There is no Q4_0 cache under vLLM, and none without flash attention under llama.cpp."""
    bare = cache_growth(estimate(LLAMA, Setup()), (8192,)).cache_bytes["Q4_0"]
    for setup in (Setup(runtime="vllm", type_name="F16"),
                  Setup(runtime="llama.cpp", flash_attention=False)):  # fmt: skip
        growth = cache_growth(estimate(LLAMA, setup), (8192,))
        assert growth.cache_bytes["Q4_0"] == bare


def test_weights_as_they_lie_in_a_file_stay_so():
    stored = estimate(LLAMA, Setup(type_name="Q5_K_M")).stored
    taken = estimate(LLAMA, Setup(type_name="as in the file"), stored)
    named = estimate(LLAMA, Setup(type_name="Q5_K_M"))
    assert cache_growth(taken, (512, 1024)) == cache_growth(named, (512, 1024))
    of_file, of_name = (with_sequences(one, (1, 4)) for one in (taken, named))
    assert [one.total_bytes for one in of_file] == [one.total_bytes for one in of_name]


@pytest.mark.parametrize("runtime", ["none", "llama.cpp"])
def test_each_sequence_has_the_whole_context(runtime):
    one, four = with_sequences(
        estimate(LLAMA, Setup(context=4096, runtime=runtime, sequences=2)), (1, 4)
    )
    assert (one.setup.context_of_each, four.setup.context_of_each) == (4096, 4096)
    assert four.kv_cache_bytes == 4 * one.kv_cache_bytes == 4 * 4096 * 128 * KIB


def test_the_buffer_grows_with_the_batch_and_without_flash_attention():
    setup = Setup(runtime="llama.cpp", context=32_768)
    taken = estimate(LLAMA, setup)
    buffers = compute_by_batch(taken, (32, 512, 2048))
    assert buffers[True][1] == taken.compute_bytes
    assert buffers[True] == sorted(buffers[True])
    assert all(a <= b for a, b in zip(*buffers.values(), strict=True))
    assert buffers[True][-1] < buffers[False][-1]
    quantized = replace(setup, key_type="Q8_0", value_type="Q8_0")
    assert list(compute_by_batch(estimate(LLAMA, quantized), (32,))) == [True]


def test_a_context_is_shared_under_llama_cpp_only():
    assert Setup(context=4096, sequences=4).context_of_each == 4096
    assert Setup(context=4096, sequences=4, runtime="llama.cpp").context_of_each == 1024


def test_memory_of_all_gpus_is_what_programs_may_use():
    card = gpus()["RTX 3090"]
    assert machine([card, card]).gpu_memory_bytes == 2 * card.memory_bytes
    assert machine([], system_memory("8GiB")).gpu_memory_bytes is None
    mac = macs()["M1, 8 GB"]
    assert mac.gpu_memory_bytes == int(8 * 2**30 * 2 / 3)
