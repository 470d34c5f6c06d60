"""SmoothQuant and LLM.int8: weights and inputs in 8 bits."""

import numpy as np
import pytest

from quantcore import open_model
from quantcore.formats import get_format
from quantcore.methods.fold import deployed
from quantcore.methods.inputs.input_sums import InputSums
from quantcore.methods.llm_int8 import LLMInt8
from quantcore.methods.method import LayerRun
from quantcore.methods.smoothquant import SmoothQuant
from quantcore.model.activations import rounded
from quantcore.model.llama import Llama, Stop
from quantcore.progress import result_of
from tests.support.places import GOLDEN
from tests.support.toy_model import write_folder

with np.load(GOLDEN / "methods_scaling.npz") as _file:
    GIVEN = {name[5:]: _file[name] for name in _file.files if name.startswith("int8/")}
ROWS, WEIGHTS = GIVEN["rows"], GIVEN["weights"]
INT8 = get_format("INT8_ROW")
TOKENS = np.random.default_rng(4).integers(3, 250, (3, 64))


def inputs_of(rows):
    sums = InputSums(len(rows), (), 0)
    sums.add(rows)
    return sums.result("here")


def product(chosen, rows):
    """Multiply rows as the matrix does while it runs: both sides in 8 bits."""
    scales = 1 if chosen.column_scales is None else chosen.column_scales
    return rounded(rows / scales, chosen.inputs) @ chosen.format.dequantize(chosen.packed).T


def missed(chosen, rows=ROWS, weights=WEIGHTS[0]):
    exact = rows @ weights.T
    return np.square(product(chosen, rows) - exact).mean() / np.square(exact).mean()


def test_tokens_are_rounded_as_smoothquant_does():
    np.testing.assert_allclose(rounded(ROWS, "INT8_TOKEN"), GIVEN["rounded/token"], rtol=1e-6)
    assert not rounded(ROWS, "INT8_TOKEN")[3].any()


def test_outliers_stay_as_in_bitsandbytes():
    rows = ROWS.astype(np.float16).astype(np.float32)
    ours = rounded(rows, "INT8_OUTLIERS")
    np.testing.assert_allclose(ours, GIVEN["rounded/outliers"], rtol=1e-6)
    large = np.abs(rows) >= 6
    assert 50 < large.sum() < 400
    np.testing.assert_array_equal(ours[large], rows[large])


def test_products_are_those_of_bitsandbytes():
    """To the float16 in which it returns them, and ours keeps scales of weights."""
    rows = ROWS.astype(np.float16).astype(np.float32)
    chosen = LLMInt8().choose(
        WEIGHTS[0].astype(np.float16).astype(np.float32), INT8, inputs_of(rows)
    )
    theirs = GIVEN["products/outliers"]
    np.testing.assert_allclose(
        product(chosen, rows), theirs, rtol=0, atol=2e-3 * np.abs(theirs).max()
    )


@pytest.mark.parametrize("alpha", [0.5, 0.85])
def test_scales_are_those_of_smoothquant(alpha):
    scales = SmoothQuant(alpha=alpha).scales(list(WEIGHTS), inputs_of(ROWS))
    np.testing.assert_allclose(scales, GIVEN[f"scales/{alpha}"], rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 0.25])
def test_a_factor_of_inputs_that_weights_lack_changes_nothing(alpha):
    """Powers of 16, whose roots are exact, so that every bit is the same."""
    factors = np.float32(16) ** np.random.default_rng(5).integers(-2, 3, 128).astype(np.float32)
    method = SmoothQuant(alpha=alpha)
    plain = method.choose(WEIGHTS[0], INT8, inputs_of(ROWS))
    other = method.choose(WEIGHTS[0] / factors, INT8, inputs_of(ROWS * factors))
    np.testing.assert_array_equal(other.packed.codes, plain.packed.codes)
    np.testing.assert_allclose(other.column_scales, plain.column_scales * factors, rtol=1e-6)
    np.testing.assert_allclose(product(other, ROWS * factors), product(plain, ROWS), rtol=1e-5)
    plain = LLMInt8().choose(WEIGHTS[0], INT8, inputs_of(ROWS))
    assert missed(plain) < 0.1 * missed(
        LLMInt8().choose(WEIGHTS[0] / factors, INT8, inputs_of(ROWS * factors)),
        ROWS * factors,
        WEIGHTS[0] / factors,
    )


def test_each_has_its_reason():
    """Columns of large inputs spoil the rounding of the others, unless they are moved or kept."""
    plain = SmoothQuant(alpha=0.0).choose(WEIGHTS[0], INT8, inputs_of(ROWS))
    assert missed(SmoothQuant().choose(WEIGHTS[0], INT8, inputs_of(ROWS))) < missed(plain) / 10
    chosen = LLMInt8().choose(WEIGHTS[0], INT8, inputs_of(ROWS))
    assert missed(chosen) < missed(plain) / 10
    assert chosen.note.startswith("Of 128 input columns 4 reach 6")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def _chosen(toy, method):
    weights = {name: toy.weights(name) for name in toy.tensors}
    llama, chosen = Llama(toy.config, weights), {}
    states = llama.begin(TOKENS).states
    for layer in range(toy.config.n_layers):
        run = LayerRun(llama=llama, layer=layer, states=states, original_states=states)
        names = [n for n in toy.quantizable if n.startswith(f"blk.{layer}.")]
        chosen |= result_of(method.choose_layer(run, dict.fromkeys(names, INT8)))
        states = list(zip(llama.hidden_by_layer(TOKENS), range(layer + 1), strict=False))[-1][0]
    return weights, llama, chosen


def test_a_whole_model_runs_with_rounded_inputs(toy):
    """Scales stand in the norms, and inputs are rounded: as `product` says, matrix by matrix."""
    weights, llama, chosen = _chosen(toy, SmoothQuant())
    small = deployed(toy.config, weights, chosen)
    for name in ("blk.0.attn_q.weight", "blk.1.ffn_down.weight"):
        assert chosen[name].inputs == "INT8_TOKEN"
    assert chosen["blk.0.attn_q.weight"].column_scales is not None
    assert chosen["blk.1.ffn_down.weight"].column_scales is None
    states, small_states = llama.begin(TOKENS).states[0], small.begin(TOKENS).states[0]
    layer, small_layer = llama.layers[0], small.layers[0]
    given = layer.normed(states, layer.attn_norm)
    ours = small_layer.qkv.times(small_layer.normed(small_states, small_layer.attn_norm))
    expected = np.concatenate(
        [product(chosen[f"blk.0.attn_{role}.weight"], given) for role in "qkv"], axis=1
    )
    assert np.isclose(ours, expected, rtol=0, atol=1e-4).mean() > 0.97  # but for ties of rounding
    before, after = llama.logits(TOKENS[0]), small.logits(TOKENS[0])
    assert 0 < np.square(after - before).mean() < 1e-2 * np.square(before).mean()
    floats = deployed(toy.config, weights, chosen).rounding(dict.fromkeys(chosen, "F32"))
    unrounded = np.square(floats.logits(TOKENS[0]) - before).mean()
    assert unrounded < np.square(after - before).mean()  # inputs do count


def test_rows_of_ffn_up_can_take_scales_too(toy):
    weights, llama, chosen = _chosen(toy, SmoothQuant(everywhere=True))
    up, down = (chosen[f"blk.1.ffn_{role}.weight"] for role in ("up", "down"))
    np.testing.assert_array_equal(up.row_scales, down.column_scales)
    assert chosen["blk.1.attn_output.weight"].column_scales is None  # heads share keys and values
    small = deployed(toy.config, weights, chosen)
    restored = llama.replaced({name: each.restored for name, each in chosen.items()})
    floats = small.rounding(dict.fromkeys(chosen, "F32"))
    scale = np.abs(restored.logits(TOKENS[0])).max()
    np.testing.assert_allclose(
        floats.logits(TOKENS[0]), restored.logits(TOKENS[0]), rtol=0, atol=1e-5 * scale
    )


def test_outliers_of_a_model_are_what_smoothquant_is_for():
    """A layer of the model with outlier channels: 8 bits spoil it, unless scales go everywhere."""
    model = open_model("fable-7m-outliers")
    weights = {name: model.weights(name) for name in model.tensors}
    llama = Llama(model.config, weights)
    states = next(llama.hidden_by_layer(np.random.default_rng(9).integers(3, 2000, (2, 96))))
    names = [name for name in model.quantizable if name.startswith("blk.1.")]
    run = LayerRun(llama=llama, layer=1, states=states, original_states=states)

    def missed(other):
        left, wanted = (next(each.hidden_after(Stop(1, 0, states))) for each in (other, llama))
        return np.square(left - wanted).mean()

    def smoothed(method):
        chosen = result_of(method.choose_layer(run, dict.fromkeys(names, INT8)))
        return missed(deployed(model.config, weights, chosen))

    plain = llama.replaced({name: INT8.round_trip(weights[name]) for name in names})
    plain = missed(plain.rounding(dict.fromkeys(names, "INT8_TOKEN")))
    assert smoothed(SmoothQuant(everywhere=True)) < plain / 10
    assert plain / 2 < smoothed(SmoothQuant()) < 2 * plain  # ffn_down has none, as in the reference


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="stores weights as INT8_ROW; ask for that, not Q4_K"):
        LLMInt8().check((4, 256), get_format("Q4_K"))
    broken = WEIGHTS[0].copy()
    broken[1, 2] = np.inf
    for method in (LLMInt8(), SmoothQuant()):
        with pytest.raises(ValueError, match=r"cannot store inf \(row 1, column 2\)"):
            method.choose(broken, INT8, inputs_of(ROWS))


def test_dead_columns_do_no_harm():
    rows = ROWS.copy()
    rows[:, 9] = 0
    for weights in (WEIGHTS[0], WEIGHTS[0] * (np.arange(128) != 9)):
        chosen = SmoothQuant().choose(weights.astype(np.float32), INT8, inputs_of(rows))
        assert np.isfinite(chosen.restored).all() and (chosen.column_scales > 0).all()
