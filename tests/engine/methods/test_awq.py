"""AWQ beside llm-awq, and what its scales do and don't change."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.awq import AWQ, clip_range, scales_at
from quantcore.methods.inputs.input_sums import InputSums
from quantcore.methods.inputs.layer_blocks import LayerBlocks, output_loss
from quantcore.methods.method import LayerRun
from quantcore.model.config import LlamaConfig
from quantcore.model.llama import Llama
from quantcore.model.names import to_gguf, to_hugging_face
from quantcore.progress import result_of
from tests.support.places import GOLDEN

with np.load(GOLDEN / "methods_scaling.npz") as _file:
    GIVEN = {name: _file[name] for name in _file.files if name.startswith("awq/")}
CASES = ("heads", "shared")
INT4 = get_format("INT4_G32_ASYM")
RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(48, 256)).astype(np.float32) * np.float32(0.05)
ROWS = (RNG.normal(size=(600, 256)) * np.exp(RNG.normal(size=256))).astype(np.float32)


def _inputs(rows):
    sums = InputSums(len(rows), ("second_moment",), 0)
    sums.add(rows)
    return sums.result("here")


INPUTS = _inputs(ROWS)


@cache
def layer_run(case):
    """Make the layer that llm-awq was given, as the only one of a model."""
    config = LlamaConfig(
        model_type="llama",
        n_layers=1,
        hidden_size=64,
        feed_forward_size=128,
        n_heads=4,
        n_kv_heads=4 if case == "heads" else 2,
        head_size=16,
        vocabulary_size=8,
        context_length=256,
        norm_epsilon=1e-6,
        tied_embedding=True,
    )
    weights = {
        to_gguf(f"model.layers.0.{key.split('/')[2]}"): array.astype(np.float32)
        for key, array in GIVEN.items()
        if key.startswith(f"awq/{case}/") and key.endswith("weight")
    }
    weights["token_embd.weight"] = np.zeros((8, 64), np.float32)
    weights["output_norm.weight"] = np.ones(64, np.float32)
    states = GIVEN[f"awq/{case}/states"].astype(np.float32)
    run = LayerRun(llama=Llama(config, weights), layer=0, states=states, original_states=states)
    return run, {name: each for name, each in weights.items() if each.ndim == 2 and "blk" in name}


class FloatScales:
    """INT4 in groups of 32 as llm-awq rounds on a CPU: scales stay float32, none is stored."""

    # ruff: noqa: D102

    name, needs_importance = "INT4", False

    def block_length(self, n_cols):
        return 32

    def quantize(self, weights, importance=None):
        groups = weights.reshape(len(weights), -1, 32)
        low, high = groups.min(axis=2, keepdims=True), groups.max(axis=2, keepdims=True)
        scale = (high - low) / np.float32(15)
        zero = np.clip(-np.rint(low / scale), 0, 15)
        codes = np.clip(np.rint(groups / scale) + zero, 0, 15)
        return ((codes - zero) * scale).reshape(weights.shape)

    def dequantize(self, packed):
        return packed

    def round_trip(self, weights, out=None, importance=None):
        return self.quantize(weights)

    def stored_bytes(self, shape):
        return 0


@cache
def chosen(case, fmt=INT4):
    run, weights = layer_run(case)
    return result_of(AWQ().choose_layer(run, dict.fromkeys(weights, fmt)))


def recorded(kind, case, name):
    module = to_hugging_face(name).removeprefix("model.layers.0.").removesuffix(".weight")
    return GIVEN[f"awq/{case}/{kind}/{module}"]


@pytest.mark.parametrize("case", CASES)
def test_scales_are_those_of_llm_awq(case):
    """Of all four inputs of a layer; attn_output has none where heads share keys and values."""
    for name, each in chosen(case, FloatScales()).items():
        expected = recorded("scales", case, name)
        if each.column_scales is None:
            assert "attn_output" in name and case == "shared" and (expected == 1).all()
        else:
            np.testing.assert_allclose(each.column_scales, expected, rtol=1e-4)
            assert not np.allclose(expected, 1)


@pytest.mark.parametrize("case", CASES)
def test_ranges_are_those_of_llm_awq(case):
    """But where two are as good, to the order in which errors are summed up."""
    run, weights = layer_run(case)
    blocks, n_same, n_all = LayerBlocks(run), 0, 0
    for name, matrix in weights.items():
        scales, theirs = (recorded(kind, case, name) for kind in ("scales", "ranges"))
        moment = blocks.inputs(blocks.place_and_role(name)[0]).second_moment
        moment, matrix = moment / np.outer(scales, scales), matrix * scales
        ours = clip_range(matrix, FloatScales(), moment)[1][:, ::32]
        assert (theirs < np.abs(matrix).reshape(len(matrix), -1, 32).max(2) * 0.99).mean() > 0.2
        n_same, n_all = n_same + np.isclose(ours, theirs, rtol=1e-4).sum(), n_all + theirs.size
        for row, group in np.argwhere(~np.isclose(ours, theirs, rtol=1e-4)):
            part = slice(32 * group, 32 * group + 32)
            group_weights, tile = matrix[row : row + 1, part], moment[part, part]
            errors = []
            for bound in (ours[row, group], theirs[row, group]):
                clipped = np.clip(group_weights, -bound, bound)
                errors.append(output_loss(FloatScales().round_trip(clipped) - group_weights, tile))
            assert errors[0] == pytest.approx(errors[1], rel=1e-3), (name, row, group)
    assert n_same > 0.995 * n_all


def test_at_ratio_0_it_is_rounding():
    for name in ("INT4_G32_ASYM", "INT3_ROW", "Q4_K", "NF4"):
        fmt = get_format(name)
        plain = AWQ(n_ratios=1, clip=False).choose(WEIGHTS, fmt, INPUTS)
        np.testing.assert_array_equal(plain.restored, fmt.round_trip(WEIGHTS))
        assert (plain.column_scales == 1).all()


@pytest.mark.parametrize("name", ["INT3_G32_ASYM", "INT4_ROW", "Q4_K", "Q2_K", "IQ2_XS"])
def test_the_output_is_nearer_where_inputs_differ(name):
    fmt = get_format(name)
    moment = INPUTS.second_moment
    importance = INPUTS.mean_square if fmt.needs_importance else None
    plain = output_loss(fmt.round_trip(WEIGHTS, importance=importance) - WEIGHTS, moment)
    better = AWQ().choose(WEIGHTS, fmt, INPUTS)
    assert output_loss(better.restored - WEIGHTS, moment) < 0.97 * plain
    assert better.stored_bytes == fmt.stored_bytes(WEIGHTS.shape)


def test_the_loss_is_what_the_output_misses():
    missed = INT4.round_trip(WEIGHTS) - WEIGHTS
    expected = np.square(ROWS @ missed.T).mean()
    assert output_loss(missed, INPUTS.second_moment) == pytest.approx(expected, rel=1e-4)


def test_the_curve_begins_at_rounding_and_its_best_is_taken():
    curve = AWQ().search(WEIGHTS, INT4, INPUTS)
    assert curve.ratios[0] == 0 and curve.ratios[-1] == 0.95
    missed = INT4.round_trip(WEIGHTS) - WEIGHTS
    assert curve.losses[0] == pytest.approx(output_loss(missed, INPUTS.second_moment), rel=1e-6)
    assert min(curve.losses) < curve.losses[0]
    np.testing.assert_array_equal(curve.scales, scales_at(curve.best_ratio, INPUTS.mean_abs))


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_nearer_to_the_original_than_rounding(case):
    run, weights = layer_run(case)
    original = next(run.llama.hidden_after(LayerBlocks(run).stops[0]))

    def missed(restored):
        states = next(run.llama.replaced(restored).hidden_after(LayerBlocks(run).stops[0]))
        return np.square(states - original).mean()

    plain = {name: INT4.round_trip(matrix) for name, matrix in weights.items()}
    assert missed({n: c.restored for n, c in chosen(case).items()}) < 0.9 * missed(plain)


def test_what_is_packed_stands_between_scaled_neighbours():
    """Restored weights are those that are stored, with the scales of columns and rows taken off."""
    found = chosen("heads")
    for role, rows in (("attn_v", "attn_output"), ("ffn_up", "ffn_down"), ("attn_q", None)):
        each = found[f"blk.0.{role}.weight"]
        stored = each.format.dequantize(each.packed) / each.column_scales
        if rows is not None:
            below = found[f"blk.0.{rows}.weight"]
            np.testing.assert_array_equal(each.row_scales, below.column_scales)
            stored = stored * each.row_scales[:, None]
        np.testing.assert_allclose(each.restored, stored, rtol=1e-6)


def test_matrices_that_are_left_out_leave_their_neighbours_without_scales():
    run, weights = layer_run("heads")
    formats = {name: INT4 for name in weights if "attn_k" not in name and "ffn_down" not in name}
    some = result_of(AWQ().choose_layer(run, formats))
    assert some.keys() == formats.keys()
    assert some["blk.0.attn_q.weight"].column_scales is None
    assert some["blk.0.ffn_up.weight"].row_scales is None
    assert some["blk.0.ffn_up.weight"].column_scales is not None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="calibrate with second_moment"):
        AWQ().choose(WEIGHTS, INT4, replace(INPUTS, second_moment=None))
    with pytest.raises(ValueError, match="multiple of 96"):
        AWQ().check((4, 256), get_format("INT4_G96"))


def test_dead_columns_do_no_harm():
    rows = ROWS.copy()
    rows[:, 7] = 0
    found = AWQ().choose(WEIGHTS, INT4, _inputs(rows))
    assert np.isfinite(found.restored).all() and (found.column_scales > 0).all()
