"""Figures of the page Memory."""

import pytest

from pages.memory import charts
from pages.shared.palette import DARK, LIGHT
from quantcore.memory import Setup, estimate
from quantcore.memory.fitting import lay_out
from quantcore.memory.hardware import gpus, machine, macs, systems
from quantcore.shape import preset

GIB = 2**30


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_the_bars_of_devices_add_up_to_what_can_be_used(look):
    taken = estimate(preset("Llama-3.1-8B"), Setup(runtime="llama.cpp"))
    both = machine([gpus()["RTX 3060 12 GB"]], systems()["32 GB DDR5-5600"])
    loads = lay_out(taken, both).loads
    figure = charts.by_device(loads, "Q4_K", "F16", look)
    bars = [trace for trace in figure.checked.data if trace.type == "bar"]
    for at, load in enumerate(loads):
        assert sum(trace.x[at] for trace in bars) == pytest.approx(load.capacity_bytes / GIB)


def test_equal_cards_have_a_bar_each():
    taken = estimate(preset("Llama-3.1-70B"), Setup(runtime="llama.cpp"))
    loads = lay_out(taken, machine([gpus()["RTX 3090"]] * 2, systems()["64 GB DDR4-3200"])).loads
    figure = charts.by_device(loads, "Q4_K", "F16", LIGHT)
    assert len(set(figure.checked.data[0].y)) == 3


def test_what_is_too_much_is_said_at_the_end_of_the_bar():
    taken = estimate(preset("Llama-3.1-70B"), Setup(type_name="Q8_0"))
    loads = lay_out(taken, macs()["M1, 8 GB"]).loads
    figure = charts.by_device(loads, "Q8_0", "F16", LIGHT)
    assert any("too much" in note.text for note in figure.checked.layout.annotations)


def test_growth_marks_the_choice_and_the_level_of_the_weights():
    at, sizes = [1024, 8192, 131_072], [2**27, 2**30, 2**34]
    figure = charts.growth(at, {"F16": sizes}, ("Q4_K_M", 2**32), (8192, 2**30), "tokens", LIGHT,
                           {"if wrong": [4 * size for size in sizes]})  # fmt: skip
    ring = figure.checked.data[-1]
    assert (ring.x[0], ring.y[0]) == (8192, 1.0)
    assert figure.checked.data[0].line.dash == "dash"
    texts = {note.text for note in figure.checked.layout.annotations}
    assert {"if wrong", "<b>F16</b>"} <= texts
