"""How well set-ups fit: one by one, in a table, and what to do where they do not."""

from dataclasses import replace

import pytest

from quantcore.memory import Setup, estimate
from quantcore.memory.fit_table import advise, cell_of, fit_table, how_it_fits
from quantcore.memory.fitting import (
    best_type,
    beyond_gpus,
    largest_context,
    lay_out,
    settled,
    settles,
)
from quantcore.memory.giving_up import what_to_give_up
from quantcore.memory.hardware import card, gpus, machine, system_memory, systems
from quantcore.shape import preset

GIB = 2**30
SMALL = machine([gpus()["RTX 4060 8 GB"]], systems()["16 GB DDR4-3200"])
LLAMA = preset("Llama-3.1-8B")


def test_four_kinds_of_fit_are_told_apart():
    cells = fit_table(LLAMA, Setup(), SMALL, ("F16", "Q4_K_M"), (4096, 131_072))
    assert cells["Q4_K_M", 4096].fits == "fits"
    assert cells["F16", 4096].fits == "in part"
    assert cells["F16", 131_072].fits == "not"
    assert [cells["Q4_K_M", 4096].whole, cells["F16", 4096].whole] == [True, False]
    long = Setup(context=131_072)
    snug = machine([card(f"{cells['Q4_K_M', 131_072].total_bytes / GIB + 0.3:.2f}GiB")])
    assert how_it_fits(estimate(LLAMA, long), snug) == "just"
    assert cell_of(estimate(LLAMA, long), snug).whole


@pytest.mark.parametrize("runtime", ["none", "llama.cpp"])
def test_what_is_known_sooner_is_what_the_whole_placement_says(runtime):
    """Sizes of GPUs just around that of the layers, and of system memory around that of all."""
    model, known = preset("Llama-3.2-1B"), set()
    for type_name, context in (("Q4_K_M", 4096), ("F16", 65_536)):
        setup = Setup(type_name=type_name, context=context, runtime=runtime)
        taken = estimate(model, setup)
        for gpu in (0.3, 0.95, 1.0, 1.05, 3):
            for beside in (0.3, 0.95, 1.0, 1.05, 3):
                video, system = ((share * taken.total_bytes / GIB) for share in (gpu, beside))
                there = machine([card(f"{video:.3f}GiB")], system_memory(f"{system:.3f}GiB"))
                whole = lay_out(taken, there)
                assert settles(taken, there) == settled(whole, there)
                fit = how_it_fits(taken, there)
                assert (fit == "not") == (not whole.fits)
                assert (fit == "in part") == (whole.fits and not settled(whole, there))
                known.add((fit, beyond_gpus(taken, there)))
    assert {("in part", True), ("not", True), ("fits", False)} <= known


def test_cells_are_the_estimates_of_their_type_and_context():
    setup = Setup(sequences=2, shared_prefix=100, context=512)
    cells = fit_table(LLAMA, setup, SMALL, ("Q8_0", "Q2_K"), (1024,))
    assert list(cells) == [("Q8_0", 1024), ("Q2_K", 1024)]
    for (name, context), cell in cells.items():
        there = replace(setup, type_name=name, context=context, shared_prefix=0)
        taken = estimate(LLAMA, there)
        assert (cell.weights_bytes, cell.total_bytes) == (taken.weights_bytes, taken.total_bytes)


def test_estimates_can_come_from_elsewhere():
    asked = []

    def kept(shape, setup):
        asked.append((setup.type_name, setup.context))
        return estimate(shape, setup)

    fit_table(LLAMA, Setup(), SMALL, ("Q8_0", "Q2_K"), (512, 1024), kept)
    assert asked == [("Q8_0", 512), ("Q2_K", 512), ("Q8_0", 1024), ("Q2_K", 1024)]


def test_advice_is_what_the_single_questions_say():
    setup = Setup(type_name="Q8_0", context=65_536)
    advice = advise(LLAMA, setup, SMALL)
    assert advice.best_type == best_type(LLAMA, setup, SMALL)
    assert advice.largest_context == largest_context(LLAMA, setup, SMALL)
    assert advice.give_up == what_to_give_up(LLAMA, setup, SMALL) != ()
    assert advise(LLAMA, Setup(), machine([card("80GiB")])).give_up == ()


def test_advice_for_weights_as_they_lie_in_a_file():
    """A small type's bytes under a large one's name: the file counts, not the name."""
    stored = estimate(LLAMA, Setup(type_name="Q2_K")).stored
    named = Setup(type_name="Q8_0", context=8192)
    assert advise(LLAMA, named, SMALL).largest_context < 8192
    of_file = advise(LLAMA, named, SMALL, stored)
    assert of_file.largest_context == largest_context(LLAMA, named, SMALL, stored) > 8192
    assert of_file.give_up == ()


def test_without_a_gpu_it_fits_where_system_memory_does():
    taken = estimate(LLAMA, Setup())
    assert how_it_fits(taken, machine([], system_memory("32 GB DDR5-5600"))) == "fits"
    assert how_it_fits(taken, machine([], system_memory("4GiB"))) == "not"
    with pytest.raises(ValueError, match="vLLM needs graphics cards"):
        how_it_fits(estimate(LLAMA, Setup(runtime="vllm")), machine([], system_memory("64GiB")))
