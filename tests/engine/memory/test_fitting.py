"""Layers on devices as llama.cpp's rules have them, and what follows for people."""

import re
from dataclasses import replace

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.fitting import (
    best_type,
    largest_context,
    place,
    settled,
    verdict,
)
from quantcore.memory.giving_up import what_to_give_up
from quantcore.memory.hardware import Device, gpus, machine, macs, systems
from quantcore.memory.layers import bytes_by_layer, layer_caches
from quantcore.memory.loads import MARGIN_BYTES
from quantcore.memory.placement import place_layers
from quantcore.memory.sizes import gib
from quantcore.memory.splitting import Split, split_layers
from quantcore.shape import preset

GIB = 2**30
G, S = gpus(), systems()
LLAMA, RAM = Setup(runtime="llama.cpp"), S["64 GB DDR5-5600"]


def _nothing(*_):
    """Reserve no memory."""
    return 0


def _card(gib, name="card"):
    return Device(name=name, memory_bytes=int(gib * GIB))


def _same(n_layers, layer, output=0, experts=0):
    """Pieces of equal layers: only their bytes matter."""
    base = bytes_by_layer(estimate(preset("Llama-3.1-8B"), LLAMA))
    one = replace(base.layers[0], dense_bytes=layer, expert_bytes=experts, cache_bytes=0)
    return replace(base, layers=(one,) * n_layers, output=replace(base.output, dense_bytes=output))


@pytest.mark.parametrize("model", ["Llama-3.1-8B", "gemma-3-27b-it", "DeepSeek-V3", "gpt-oss-20b"])
@pytest.mark.parametrize("runtime", ["none", "llama.cpp"])
def test_pieces_add_up_to_the_estimate(model, runtime):
    taken = estimate(preset(model), Setup(runtime=runtime, context=8192))
    parts = bytes_by_layer(taken)
    weights = parts.input_bytes + sum(piece.weights_bytes for piece in parts.all)
    assert weights - parts.copied_bytes == taken.weights_bytes
    assert sum(layer_caches(taken)) == taken.kv_cache_bytes


def test_every_byte_of_a_placement_is_the_estimates():
    found = estimate(preset("Llama-3.1-8B"), LLAMA)
    for size in (1, 3, 6, 24):
        loads = place_layers(found, machine([_card(size)], RAM)).loads
        assert sum(load.weights_bytes for load in loads) == found.weights_bytes
        assert sum(load.cache_bytes for load in loads) == found.kv_cache_bytes


def test_layers_go_to_the_gpu_from_the_last_one_backwards():
    """Eleven pieces, the output of 30 bytes, layers of 10: 65 bytes hold output and 3 layers."""
    parts = _same(10, 10, output=30)
    assert split_layers(parts, [65], _nothing).counts == (4,)
    assert split_layers(parts, [65], lambda *_: 6).counts == (3,)
    assert split_layers(parts, [29], _nothing).counts == (0,)  # the output goes first, or nothing
    assert split_layers(parts, [130], _nothing).counts == (11,)


def test_gpus_share_all_layers_by_their_free_memory():
    """Layer i of n goes to the first GPU whose end in the summed memory is above i / n."""
    parts = _same(9, 1, output=1)
    assert split_layers(parts, [100, 100], _nothing).counts == (5, 5)
    assert split_layers(parts, [300, 100], _nothing).counts == (8, 2)
    assert split_layers(parts, [100, 100, 100], _nothing).counts == (4, 3, 3)


def test_gpus_that_are_too_small_are_filled_from_the_last():
    parts = _same(9, 10, output=20)
    assert split_layers(parts, [45, 45], _nothing).counts == (4, 3)
    assert split_layers(parts, [5, 45], _nothing).counts == (0, 3)


def test_ngl_is_taken_as_it_is():
    parts = _same(9, 10, output=20)
    assert split_layers(parts, [45, 45], _nothing, fixed=10).counts == (5, 5)
    assert split_layers(parts, [45], _nothing, fixed=0).counts == (0,)
    taken = estimate(preset("Llama-3.1-8B"), LLAMA)
    tight = place_layers(taken, machine([_card(4)], RAM), layers_on_gpu=33)
    assert not tight.fits and tight.spare_bytes < 0
    assert any("card lacks" in reason for reason in tight.reasons)
    with pytest.raises(ValueError, match="34 layers cannot go to the GPU: there are 33"):
        place_layers(taken, machine([_card(4)]), layers_on_gpu=34)


def test_experts_leave_the_gpu_before_layers_do():
    """Ten layers of 10 bytes and experts of 40: 330 bytes hold all but the experts of 5 layers."""
    parts = _same(10, 10, output=20, experts=40)
    assert split_layers(parts, [330], _nothing) == Split((11,), 5)
    assert split_layers(parts, [120], _nothing) == Split((11,), 10)
    assert split_layers(parts, [110], _nothing) == Split((10,), 10)


def test_a_tied_embedding_is_there_twice_under_llama_cpp():
    shape = preset("gemma-3-1b-it")
    taken = estimate(shape, LLAMA)
    gpu, system = place_layers(taken, machine([_card(8)], RAM)).loads
    embedding = taken.stored.layer_bytes(-1)
    assert gpu.weights_bytes == taken.weights_bytes
    assert 0.99 * embedding < system.weights_bytes <= embedding
    (alone,) = place_layers(taken, machine((), RAM)).loads
    assert alone.weights_bytes == taken.weights_bytes


def test_the_margin_is_llama_cpps_and_only_its():
    taken = estimate(preset("Llama-3.1-8B"), LLAMA)
    gpu, system = place_layers(taken, machine([_card(24)], RAM)).loads
    assert gpu.overhead_bytes == system.overhead_bytes == MARGIN_BYTES
    assert gpu.free_bytes == 24 * GIB - gpu.used_bytes
    bare = place_layers(estimate(preset("Llama-3.1-8B"), Setup()), machine([_card(24)], RAM))
    assert not any(load.overhead_bytes for load in bare.loads)


def test_without_a_runtime_gpus_are_one_pool():
    taken = estimate(preset("Llama-3.1-8B"), Setup())
    placement = place_layers(taken, machine([_card(3), _card(3)]))
    assert placement.whole_on_gpu and placement.fits
    pool, system = placement.loads
    assert pool.name == "2 GPUs together"
    assert pool.used_bytes == taken.total_bytes and system.used_bytes == 0
    small = place_layers(taken, machine([_card(2.5), _card(2.5)]))
    assert not small.fits and "the embedding, 282 MiB, has no room" in small.reasons[-1]


def test_what_is_not_known_is_not_promised():
    taken = estimate(preset("Llama-2-70b-hf"), LLAMA)
    alone = place_layers(taken, machine([G["RTX 3090"]]))
    assert not alone.fits and "was not said" in alone.reasons[-1]
    assert alone.loads[-1].free_bytes is None
    assert place_layers(taken, machine([G["RTX 3090"]], RAM)).fits
    short = place_layers(taken, machine([G["RTX 3090"]], S["16 GB DDR5-5600"]))
    assert not short.fits and "system memory lacks" in short.reasons[-1]


def test_a_mac_has_one_memory():
    """70B at Q4_K_M are 38.6 GiB: more than the 36 of 48 GiB that macOS gives the GPU."""
    placement = place(preset("Llama-2-70b-hf"), LLAMA, macs()["M4 Pro, 48 GB"])
    assert placement.fits and not placement.whole_on_gpu
    assert 65 < placement.layers_on_gpu < 81
    gpu, rest = placement.loads
    assert rest.capacity_bytes == 48 * GIB - (gpu.used_bytes - gpu.overhead_bytes)
    crowded = place(preset("Llama-2-70b-hf"), LLAMA, macs()["M4 Pro, 24 GB"])
    assert not crowded.fits and "memory that the GPU leaves lacks" in crowded.reasons[-1]


def test_vllm_shares_every_layer_between_equal_gpus():
    shape, setup = preset("Llama-3.1-70B"), Setup(type_name="BF16", runtime="vllm", context=8192)
    placement = place(shape, setup, machine([G["H100 80 GB"]] * 4))
    assert placement.fits and placement.whole_on_gpu
    loads = placement.loads[:-1]
    assert len({load.weights_bytes for load in loads}) == 1
    assert loads[0].weights_bytes * 4 == pytest.approx(shape.n_weights * 2, rel=1e-3)
    assert loads[0].free_bytes == pytest.approx(0.1 * loads[0].capacity_bytes, rel=1e-6)
    assert not place(shape, setup, machine([G["H100 80 GB"]])).fits
    with pytest.raises(ValueError, match=r"these have 22.* GiB and 24.* GiB: choose equal ones"):
        place(shape, setup, machine([G["L4"], G["RTX 3090"]]))
    for without in (machine((), RAM), macs()["M2, 24 GB"]):
        with pytest.raises(ValueError, match="vLLM needs graphics cards"):
            place(shape, setup, without)


@pytest.mark.parametrize("runtime", ["none", "llama.cpp"])
def test_the_largest_context_is_the_largest(runtime):
    shape, setup = preset("Llama-3.1-8B"), Setup(runtime=runtime)
    on = machine([G["RTX 3060 12 GB"]], RAM)
    context = largest_context(shape, setup, on)
    assert context % 256 == 0
    assert settled(place(shape, replace(setup, context=context), on), on)
    assert not settled(place(shape, replace(setup, context=context + 256), on), on)
    assert largest_context(shape, setup, machine([G["H200"]])) == 131_072
    assert largest_context(shape, setup, machine([_card(2)], RAM)) == 0


def test_the_best_type_is_the_largest_that_fits():
    shape, on = preset("Llama-3.1-8B"), machine([_card(8)], RAM)
    best = best_type(shape, LLAMA, on)
    assert settled(place(shape, replace(LLAMA, type_name=best), on), on)
    assert best.startswith("Q5") or best.startswith("Q6")
    assert best_type(shape, LLAMA, machine([_card(2)], RAM)) is None
    assert (
        best_type(
            shape, replace(LLAMA, runtime="none"), machine([_card(6)]), ["Q8_0", "AWQ", "Q2_K"]
        )
        == "AWQ"
    )


def test_more_sequences_than_tokens_have_a_verdict():
    setup = replace(LLAMA, context=4, sequences=8)
    says = verdict(preset("Llama-3.1-8B"), setup, machine([gpus()["RTX 3090"]], RAM))
    assert says.startswith("fits with") and "also with all 131,072 tokens of each" not in says


def test_the_verdict_says_how_far():
    shape = preset("Llama-3.1-8B")
    roomy = verdict(shape, LLAMA, machine([G["RTX 3060 12 GB"]], RAM))
    assert roomy.startswith("fits with ") and roomy.endswith("; at 65,536 tokens it will not")
    assert verdict(shape, LLAMA, machine([G["H200"]])).endswith(
        "also with all 131,072 tokens that the model was made for"
    )
    assert verdict(shape, LLAMA, machine([_card(4)], RAM)).startswith("fits in part: ")
    assert "lacks" in verdict(preset("DeepSeek-V3"), LLAMA, machine([_card(4)], RAM))


@pytest.mark.parametrize("runtime, type_name", [
    ("none", "Q6_K"), ("llama.cpp", "Q4_K_M"), ("vllm", "AWQ"),
])  # fmt: skip
@pytest.mark.parametrize("card", ["RTX 3060 12 GB", "H100 80 GB"])
@pytest.mark.parametrize("name", ["Llama-3.1-8B", "gemma-2-9b", "Qwen3-8B"])
def test_every_number_of_a_verdict_is_true(name, card, runtime, type_name):
    shape, on = preset(name), machine([G[card]], RAM)
    for context, sequences in ((8192, 2), (32_768, 1), (32_768, 4)):
        setup = Setup(type_name=type_name, runtime=runtime, context=context, sequences=sequences)
        _check_verdict(shape, setup, on)


def _check_verdict(shape, setup, on):
    says, placed = verdict(shape, setup, on), place(shape, setup, on)
    whole = settled(placed, on)
    assert whole == (says.startswith("fits") and not says.startswith("fits in part"))
    longest = largest_context(shape, setup, on)
    assert whole == (longest >= setup.context), "up to fewer tokens than fit already"
    if not whole:
        return
    gpu, system = placed.loads[0], placed.loads[-1]
    apart = system.used_bytes - system.overhead_bytes
    assert ("in system memory" in says) == bool(apart and setup.runtime != "vllm")
    # All that it takes lies on the card but for what is said to lie elsewhere.
    assert gpu.used_bytes <= gpu.capacity_bytes
    if setup.runtime == "vllm":
        assert "to spare" not in says and "room for" in says
    else:
        assert f"with {gib(gpu.free_bytes)} to spare" in says
        taken = estimate(shape, setup).total_bytes
        assert taken - apart <= gpu.capacity_bytes * 1.01
    together = setup.context // setup.context_of_each
    if setup.context_of_each >= shape.context_length:
        assert "made for" not in says and "it will not" not in says
    elif found := re.search(r"at ([\d,]+) tokens it will not", says):
        limit = int(found[1].replace(",", ""))
        assert not settled(place(shape, replace(setup, context=limit), on), on)
        assert setup.context < limit <= shape.context_length * together
    else:
        assert f"also with all {shape.context_length:,} tokens" in says
        most = replace(setup, context=shape.context_length * together)
        assert settled(place(shape, most, on), on)


def test_what_hurts_least_is_given_up_first():
    shape, setup = preset("Llama-3.1-8B"), replace(LLAMA, context=65_536)
    on = machine([_card(10)], RAM)
    given = what_to_give_up(shape, setup, on)
    assert [one.what.split()[0] for one in given] == ["keep", "read", "leave"]
    cache, context, layers = given
    assert cache.saved_bytes == pytest.approx(8 * GIB * (1 - 34 / 64), rel=0.05)
    for one in (cache, context):
        assert one.enough == settled(place(shape, one.setup, on), on)
    assert context.enough and layers.enough
    smaller = what_to_give_up(shape, LLAMA, machine([_card(5)], RAM))
    assert any("store the weights in Q" in one.what for one in smaller)
    assert what_to_give_up(shape, LLAMA, machine([_card(24)])) == ()
    no_flash = what_to_give_up(shape, replace(setup, flash_attention=False), on)
    assert no_flash[0].setup.value_type == "F16" and "keys of the cache" in no_flash[0].what


def test_weights_as_they_are_stored_can_be_fitted():
    """A file of mixed types has no name; its bytes count, and its type can be given up."""
    shape, on = preset("Llama-3.1-8B"), machine([_card(6)], RAM)
    setup = replace(LLAMA, type_name="as in the file")
    stored = estimate(shape, replace(LLAMA, type_name="Q8_0")).stored
    named = replace(LLAMA, type_name="Q8_0")
    assert place(shape, setup, on, stored) == place(shape, named, on)
    assert largest_context(shape, setup, on, stored) == largest_context(shape, named, on)
    assert verdict(shape, setup, on, stored) == verdict(shape, named, on)
    ours, theirs = what_to_give_up(shape, setup, on, stored), what_to_give_up(shape, named, on)
    assert [one.saved_bytes for one in ours] == [one.saved_bytes for one in theirs]


def test_vllm_is_offered_its_own_types():
    shape = preset("Llama-3.1-8B")
    setup = Setup(type_name="BF16", runtime="vllm", context=8192)
    assert best_type(shape, setup, machine([G["RTX 3060 12 GB"]])) == "AWQ"


def test_llama_cpp_reads_gguf_types_only():
    shape = preset("gpt-oss-20b")
    with pytest.raises(ValueError, match=r"gptq is not one of their types"):
        estimate(shape, replace(LLAMA, type_name="gptq"))
    gguf = estimate(shape, replace(LLAMA, type_name="MXFP4")).weights_bytes
    assert gguf != estimate(shape, Setup(type_name="MXFP4")).weights_bytes
    assert gguf == estimate(shape, Setup(type_name="MXFP4 pure")).weights_bytes
