"""Where layers lie, against llama.cpp itself: tests/golden/llama_cpp_placement.json."""

import json

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.hardware import Device, machine
from quantcore.memory.loads import MARGIN_BYTES
from quantcore.memory.placement import place_layers
from quantcore.shape import preset
from tests.support.places import GOLDEN

CASES = json.loads((GOLDEN / "llama_cpp_placement.json").read_text())
MIB = 2**20
RAM = Device(name="system", memory_bytes=2**42, kind="cpu")
IDS = [f"{case['model']}-{case['context']}" for case in CASES]


def _estimate(case):
    setup = Setup(type_name=case["type"], context=case["context"], runtime="llama.cpp")
    return estimate(preset(case["model"]), setup)


def _gpus(*sizes_mib):
    return machine([Device(name="GPU", memory_bytes=size * MIB) for size in sizes_mib], RAM)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_device_holds_what_llama_cpp_puts_there(case):
    """Weights and cache to the MiB that it prints; buffers are rather too large than too small.

    A GPU also borrows matrices that lie in system memory, which these stand-ins do not.
    """
    taken = _estimate(case)
    for given in case["given"]:
        on = _gpus(*[10**6] * (len(given["devices"]) - 1))
        placed = place_layers(taken, on, given["layers"], given["without_experts"])
        for load, (weights, cache, compute) in zip(placed.loads, given["devices"], strict=True):
            assert weights <= load.weights_bytes / MIB < weights + 1.01
            assert cache <= load.cache_bytes / MIB < cache + 1.01
            assert 0.9 * compute - 1 < load.compute_bytes / MIB < 1.15 * compute + 48


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_as_many_layers_fit_as_llama_cpp_fits(case):
    """A layer of difference where a few MiB decide.

    Of experts llama.cpp also moves parts of one layer a GPU, where --n-cpu-moe knows whole ones.
    """
    taken = _estimate(case)
    for fitted in case["fitted"]:
        sizes = [target + MARGIN_BYTES // MIB for target in fitted["targets_mib"]]
        placed = place_layers(taken, _gpus(*sizes))
        if fitted["layers"] < 0:  # all of them, as they are
            assert placed.whole_on_gpu
        elif fitted["overridden"]:
            assert placed.layers_on_gpu == fitted["layers"] == placed.n_layers
            assert 0 <= fitted["overridden"] - placed.experts_on_cpu <= len(sizes)
        else:
            for ours, theirs in zip(placed.layers_by_gpu, fitted["by_gpu"], strict=False):
                assert 0 <= theirs - ours <= 1
        for load in placed.loads[:-1]:
            assert load.free_bytes >= 0
