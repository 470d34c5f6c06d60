"""Which type to take: against a search by hand, and figures against what they claim to be."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from quantcore.evaluate.measured import load
from quantcore.memory import Setup, estimate, find_shape, weights_in
from quantcore.memory.fit_table import how_it_fits
from quantcore.memory.hardware import card, machine, system_memory
from quantcore.model.shipped import shipped_folder
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.shape import preset
from quantcore.which_type import (
    costs_of,
    published_costs,
    published_figures,
    recommend,
)
from quantcore.which_type.recommend import CLOSE, FAR
from tests.support.spoken import slips

LLAMA = preset("Llama-3.1-8B")
LONG = Setup(context=32_768)


def _with(memory):
    return machine([card(memory)], system_memory("32 GB DDR5-5600"))


def test_figures_of_the_shipped_model_are_not_those_of_another_with_its_name(tmp_path):
    """Same name, same sizes, other weights: `recommend` says that the figures are not its own."""
    folder = tmp_path / "fable-7m"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((shipped_folder() / name).read_bytes())
    other = find_shape(folder)
    assert other.shape.name == "fable-7m"
    assert not recommend(other.shape, LONG, _with("24GiB"), costs_of(other)).own
    (tmp_path / "tale").symlink_to(shipped_folder())
    assert find_shape(tmp_path / "tale").shape.name == "tale"
    assert costs_of(find_shape(tmp_path / "tale")) == costs_of(find_shape("fable-7m"))


@cache
def _taken(setup):
    return estimate(LLAMA, setup)


@cache
def _chosen(memory):
    """Choose for the large model; what it takes in each type is estimated once for all memories."""
    return recommend(LLAMA, LONG, _with(memory), published_costs(), lambda _, setup: _taken(setup))


@pytest.mark.parametrize("memory", ["24GiB", "8GiB", "6GiB", "3GiB"])
def test_the_type_is_the_one_that_a_search_finds(memory):
    chosen, known = _chosen(memory), published_costs().divergence
    fitting = {}
    for name, nats in known.items():
        taken = _taken(replace(LONG, type_name=name))
        if how_it_fits(taken, _with(memory)) in ("fits", "just"):
            fitting[name] = (taken.weights_bytes, nats)
    close = {name: size for name, (size, nats) in fitting.items() if nats <= CLOSE}
    if close:
        wanted = min(close, key=close.__getitem__)
    else:
        wanted = min(fitting, key=lambda name: fitting[name][1], default=None)
    assert (chosen.best and chosen.best.type) == wanted
    assert {one.type for one in chosen.options if one.whole} <= set(fitting)


def test_no_option_is_larger_and_further_off_than_another():
    options = _chosen("24GiB").options
    sizes = [one.weights_bytes for one in options]
    assert sizes == sorted(sizes, reverse=True)
    assert np.all(np.diff([one.divergence for one in options]) > 0)
    shown = {one.type for one in options}
    for name, nats in published_costs().divergence.items():
        size = _taken(replace(LONG, type_name=name)).weights_bytes
        better = any(one.weights_bytes <= size and one.divergence <= nats for one in options)
        assert name in shown or better


@pytest.mark.parametrize(
    "memory, says",
    [
        ("24GiB", "Take Q6_K: of the types that diverge by no more than 0.01 nats per token it is"),
        ("8GiB", "of the types that fit it diverges least, 0."),
        ("6GiB", "That is far from the original: rather read fewer tokens"),
        ("3GiB", "No type is small enough: even IQ1_S takes"),
    ],
)
def test_the_reason_follows_the_case(memory, says):
    chosen = _chosen(memory)
    assert says in chosen.reason and not slips(chosen.reason + " " + chosen.whose)


def test_figures_of_another_model_are_said_to_be():
    said = _chosen("8GiB").whose
    assert "published ones of another model, Llama-3-8B (8.03 billion weights)" in said
    assert "Those of Llama-3.1-8B (8.03 billion weights) are not known here" in said
    assert "perplexity/README.md" in said
    assert "in Q4_K_M Llama-2-7B diverged by 0.013, 2.5 times less than Llama-3-8B." in said


def test_the_shipped_models_figures_are_its_own():
    model, drifts = find_shape("fable-7m"), load().drifts
    chosen = recommend(model.shape, LONG, _with("24GiB"), costs_of(model))
    assert chosen.own and "measured of fable-7m itself" in chosen.whose
    for one in chosen.options:
        assert one.divergence == drifts[one.type].mean_kl_divergence
        assert one.weights_bytes == drifts[one.type].weights_bytes
        needs_one = one.type.startswith(("IQ1", "IQ2", "IQ3_X")) or one.type == "Q2_K_S"
        assert one.aided == needs_one, one.type


def test_of_what_vllm_loads_nothing_is_known():
    setup = Setup(context=4096, runtime="vllm")
    assert recommend(LLAMA, setup, _with("24GiB"), published_costs()) is None


def test_published_figures_have_the_sizes_of_such_files_and_agree_among_themselves():
    """A figure that was copied wrongly would stand out of the others."""
    figures = published_figures()
    rows = [*figures["formats"], *figures["with_imatrix"]]
    assert {row["format"] for row in rows} <= set(FILE_TYPES)
    for row in rows:
        if row["format"] != "Q2_K_S":  # printed with the size of Q2_K
            size = weights_in(LLAMA, row["format"]).total_bytes / 2**30
            assert row["size_gib"] == pytest.approx(size, rel=0.01), row
    by_divergence = sorted(rows, key=lambda row: row["kl_nats"])
    ranks = np.argsort(np.argsort([row["perplexity"] for row in by_divergence]))
    assert np.corrcoef(ranks, np.arange(len(rows)))[0, 1] > 0.99
    plain = {row["format"]: row["kl_nats"] for row in figures["formats"]}
    both = [row for row in figures["with_imatrix"] if row["format"] in plain]
    assert both and all(row["kl_nats"] < plain[row["format"]] for row in both)


def test_close_and_far_are_what_the_published_model_showed():
    figures = published_figures()
    original = 6.233160  # F16 there
    for row in (*figures["formats"], *figures["with_imatrix"]):
        if row["kl_nats"] <= CLOSE:
            assert row["perplexity"] < 1.0034 * original
        if row["kl_nats"] >= FAR:
            assert row["perplexity"] > 4 / 3 * original
