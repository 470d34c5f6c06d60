"""The sentences of Weights, Block, Scales, Error by layer and Memory follow the numbers."""

import dataclasses

import numpy as np
import pytest

from pages.block import words as block_words
from pages.layer_error import words as layer_words
from pages.scales import words as scales_words
from pages.weights import words as weights_words
from quantcore.evaluate import specimens
from quantcore.evaluate.statistics import tensor_statistics
from quantcore.formats import get_format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits


def _statistics(values):
    return tensor_statistics(np.asarray(values, np.float32))


def test_reach_says_what_a_grid_costs():
    statistics = _statistics(np.random.default_rng(0).normal(size=10_000))
    says = weights_words.reach("blk.3.attn_q.weight", statistics, 4, 0.25)
    assert "**layer 3 attn_q**" in says and "**25 in 100**" in says
    assert "no weight to zero" in weights_words.reach("output.weight", statistics, 8, 0.0)
    assert "are equal" in weights_words.reach("output.weight", _statistics([1, 1]), 4, 0.0)


def test_tails_have_three_cases():
    rng = np.random.default_rng(1)
    assert "**No weight**" in weights_words.tails(_statistics(rng.uniform(size=1000)))
    assert "times** as many" in weights_words.tails(_statistics(rng.standard_t(3, 100_000)))
    normal = _statistics(rng.normal(size=1000))
    few = dataclasses.replace(normal, outlier_share=1 / 20_000)
    assert "no heavier" in weights_words.tails(few)


def test_ranges_name_the_more_uneven_side():
    assert "gains little" in weights_words.ranges(1.1, 1.2)
    assert weights_words.ranges(3.0, 1.5).startswith("The widest **row** reaches **3.0 times**")
    assert weights_words.ranges(1.5, 12.0).startswith("The widest **column** reaches **12 times**")


@pytest.mark.parametrize("measure", weights_words.MEASURES)
def test_the_leader_is_named(measure):
    says = weights_words.leader(measure, {"blk.0.attn_q.weight": 0.01, "output.weight": 0.2})
    assert says.startswith("**The output matrix** leads") and "layer 0 attn_q is last" in says


def test_the_textbook_example_reads_as_in_the_textbook():
    part = specimens.textbook(get_format("Q4_0")).opened.parts[0]
    says = block_words.textbook(33.0, part, 2, 32.0, uneven=False)
    assert says == (
        "**33** divided by the scale 16 is 2.06; stored as 2, it comes back as 16 × 2 = **32**."
    )


def test_a_miss_says_whether_weights_were_cut_off():
    assert "changes at all" in block_words.miss(0, 0.0, 0)
    assert "largest error, **0.44 of a step**" in block_words.miss(3, 0.44, 0)
    assert "scale was rounded" in block_words.miss(3, 0.53, 0)
    assert block_words.miss(3, 2.0, 1).startswith("1 weight beyond the grid is cut off, weight 3")
    assert block_words.miss(3, 2.0, 4).startswith("4 weights beyond the grid are cut off")


def test_a_gain_of_nothing_is_no_gain():
    assert "no other scale" in block_words.gain("Q4_0’s own rule gives", 0.01, 0.00999)
    assert "no other scale" in block_words.gain("Your settings give", 0.0, 0.0)
    assert "25 % less" in block_words.gain("Your settings give", 4.0, 3.0).replace("\u202f", " ")


def test_an_outlier_leaves_few_codes():
    codes = np.array([7, 7, 8, 15, 7])
    assert "**2 codes** of 16" in block_words.outlier(codes, 3, 16)


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q8_0", "Q6_K", "Q2_K", "INT4_G32_ASYM"])
def test_the_arithmetic_of_a_weight_is_right(name):
    values = np.random.default_rng(2).normal(size=256).astype(np.float32)
    fmt = get_format(name)
    opened = fmt.open_block(fmt.quantize(values[None]), 0, 0)
    part = opened.parts[0]
    says = block_words.arithmetic(opened, part, 5, float(values[5]))
    sum_, result = says.split("so ")[1].split(" = **")
    python = sum_.replace("×", "*").replace("−", "-").replace(" * 10⁻", "e-")
    result = float(result.split("**")[0].replace("−", "-"))
    assert eval(python) == pytest.approx(result, rel=2e-2, abs=2e-3)
    assert result == pytest.approx(float(opened.restored[5]), rel=1e-3)


@pytest.mark.parametrize("name", ["MXFP4", "IQ4_NL", "NF4", "FP8_E4M3_ROW"])
def test_on_an_uneven_grid_a_code_stands_for_a_value(name):
    values, fmt = np.linspace(-1, 1, 256, dtype=np.float32), get_format(name)
    opened = fmt.open_block(fmt.quantize(values[None]), 0, 0)
    part = opened.parts[0]
    says = block_words.arithmetic(opened, part, 5, float(values[5]), uneven=True)
    meaning = float(says.split("stands for ")[1].split(",")[0].replace("−", "-"))
    assert meaning == pytest.approx(float(opened.restored[5]) / part.scale, rel=1e-3)
    assert f" × ({block_words.exact(meaning)}) = " in says


def test_sub_blocks_that_are_alike_are_said_to_be():
    fmt = get_format("Q4_K")
    rng = np.random.default_rng(3)
    for values, says in (
        (np.tile(rng.normal(size=32), 8), "nearly the same scale"),
        (rng.normal(size=256) * np.repeat([1, 4], 128), "factor"),
        (rng.normal(size=256) * np.repeat([0, 1], 128), "only zeros"),
    ):
        opened = fmt.open_block(fmt.quantize(values[None].astype(np.float32)), 0, 0)
        assert says in block_words.sub_blocks(opened.parts)


def test_finer_scales_may_gain_little():
    paid = {"INT4_TENSOR": 0.0, "INT4_G32": 0.5}
    assert "gain little" in scales_words.price(
        paid, {"INT4_TENSOR": 0.1, "INT4_G32": 0.099}, "INT4_TENSOR"
    )
    says = scales_words.price(paid, {"INT4_TENSOR": 0.3, "INT4_G32": 0.1}, "INT4_TENSOR")
    assert "INT4_G32 spends 0.5 bits per weight on scales" in says


def test_the_stored_scale_is_decoded_in_words():
    fmt, layout = get_format("Q4_K"), sub_scale_bits("Q4_K")
    values = np.random.default_rng(4).normal(size=(1, 256)).astype(np.float32)
    opened = fmt.open_block(fmt.quantize(values), 0, 0)
    assert "in one byte" in scales_words.stored(0, opened.parts[0], layout, 0.001)
    assert "split over 2 bytes" in scales_words.stored(5, opened.parts[5], layout, 0.001)
    assert f"**{opened.parts[5].scale_code}**" in scales_words.stored(
        5, opened.parts[5], layout, 0.001
    )


def test_extremes_of_a_format():
    say = layer_words.extremes
    errors = {"token_embd.weight": 5.0, "blk.0.attn_q.weight": 10.0}
    assert "**layer 0 attn_q** changes most" in say("Q2_K", errors)
    assert "about the same" in say("Q2_K", dict.fromkeys(errors, 5.0))
    assert "comes back as it was" in say("F32", dict.fromkeys(errors, 0.0))


def test_a_mix_says_what_it_holds():
    formats = {"a": "Q4_K", "b": "Q4_K", "c": "Q6_K"}
    assert layer_words.which("Q4_K_M", formats).endswith("mix of 3 matrices: 2 in Q4_K, 1 in Q6_K.")
    assert layer_words.which("Q4_K pure", formats) == "Every matrix has the same format."
    assert layer_words.cells({"a": 7.0, "c": 1.5}, formats) == {
        "a": "7.00<br>Q4_K",
        "c": "1.50<br>Q6_K",
    }
    assert layer_words.cells({"a": 7.0}, {}) == {"a": "7.00"}


def test_formats_side_by_side():
    say = layer_words.side_by_side
    alike = {f"blk.{i}.attn_q.weight": 1.0 + i / 100 for i in range(5)}
    more = {name: 10 * value for name, value in alike.items()}
    far = {name: 30.0 + 30 * i for i, name in enumerate(alike)}
    whole = {"Q8_0": 1.0, "Q4_K": 10.0}
    assert say({"Q8_0": alike, "Q4_K": more}, whole) == (
        "The error of Q4_K is **10 times** that of Q8_0; within each type, all matrices change "
        "about equally."
    )
    every = {"Q8_0": alike, "Q4_K": more, "INT4_TENSOR": far}
    assert say(every, whole | {"INT4_TENSOR": 40.0}) == (
        "The error of INT4_TENSOR is **40 times** that of Q8_0. Matrices differ most in "
        "INT4_TENSOR: layer 4 attn_q changes 5.0 times as much as layer 0 attn_q."
    )
    assert say({"Q8_0": alike}, {"Q8_0": 3.0}).startswith("The error of **Q8_0** is 3.00 %")
    assert say({"F32": dict.fromkeys(alike, 0.0), "Q8_0": alike}, {"F32": 0.0, "Q8_0": 1.0})


def test_rows_that_are_alike_are_said_to_be():
    assert "All rows" in layer_words.rows("output.weight", np.array([5.0, 5.1, 5.2]))
    assert "Row 1" in layer_words.rows("output.weight", np.array([5.0, 9.0, 5.2]))
    assert "No row" in layer_words.rows("output.weight", np.zeros(3))


def test_a_float_is_kept_or_moved():
    assert "**exactly** in 2 bytes" in block_words.kept_float("F16", 2, 0.5, 0.5)
    assert "**0.1 %**" in block_words.kept_float("BF16", 2, 1.0, 1.001).replace("\u202f", " ")
    fmt = get_format("F16")
    opened = fmt.open_block(fmt.quantize(np.float32([[-0.5]])), 0, 0)
    assert "They encode **−0.5**" in block_words.bits_of_float(opened, -0.5)
