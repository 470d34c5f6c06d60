"""Rotations: lengths and outputs stay, outliers go, the model says what it said."""

from dataclasses import replace

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.method import LayerInputs
from quantcore.methods.rotation import Rotation
from quantcore.methods.rotations.hadamard import RandomHadamard
from quantcore.methods.rotations.incoherence import Incoherence, spread_of
from quantcore.methods.rotations.residual_rotation import rotate_residual
from quantcore.model.llama import Llama
from quantcore.model.names import expected_shapes
from quantcore.model.source import open_model

RNG = np.random.default_rng(8)


def heavy_tailed(shape=(256, 768)):
    """Weights with a few that are hundred times as large."""
    weights = RNG.normal(0, 0.02, shape).astype(np.float32)
    places = RNG.integers(0, weights.size, 20)
    weights.reshape(-1)[places] *= 100
    return weights


def inputs_of(n_cols):
    ones = np.ones(n_cols, np.float32)
    return LayerInputs(n_tokens=1, mean_square=ones, mean_abs=ones, largest=ones)


def relative(error, weights):
    return float(np.square(error).sum() / np.square(weights).sum())


def test_outliers_are_spread():
    """Mu falls below sqrt(2 ln(2 m n / delta)) squared (QuIP, lemma 5), here below the root."""
    weights = heavy_tailed()
    turned = Incoherence.drawn(weights.shape, 0).rotate(weights)
    before, after = spread_of(weights), spread_of(turned)
    assert before.mu > 60 and before.excess_kurtosis > 300
    assert after.mu < np.sqrt(2 * np.log(2 * weights.size / 0.01))
    assert abs(after.excess_kurtosis) < 0.1
    assert after.root_mean_square == pytest.approx(before.root_mean_square, rel=1e-5)


def test_outputs_stay():
    """Y = x W.T is x~ W~.T turned back, and the errors' cost is the same in either base."""
    weights, x = heavy_tailed((96, 128)), RNG.standard_normal((50, 128)).astype(np.float32)
    turned = Incoherence.drawn(weights.shape, 3)
    y = turned.columns.rotate(x) @ turned.rotate(weights).T
    np.testing.assert_allclose(turned.rows.rotate_back(y), x @ weights.T, atol=1e-4)
    np.testing.assert_allclose(turned.rotate_back(turned.rotate(weights)), weights, atol=1e-6)
    moment = (x.T @ x / 50).astype(np.float64)
    cost = np.trace(weights @ moment @ weights.T)
    wide = turned.rotate(weights)
    assert np.trace(wide @ turned.rotate_moment(moment) @ wide.T) == pytest.approx(cost, rel=1e-5)


@pytest.mark.parametrize("name", ["INT4_ROW", "INT8_TENSOR"])
def test_rotation_rescues_scales_that_outliers_stretch(name):
    weights, fmt = heavy_tailed(), get_format(name)
    plain = relative(fmt.round_trip(weights) - weights, weights)
    chosen = Rotation().choose(weights, fmt, inputs_of(768))
    assert relative(chosen.restored - weights, weights) < 0.5 * plain


# A format that demands an importance matrix, as IQ2_XS does, which takes long to compile.
DEMANDING = replace(get_format("Q4_0"), name="Q4_0 by importance", encode=None)


@pytest.mark.parametrize(
    "fmt", [get_format("Q4_0"), get_format("INT4_G64_ASYM"), DEMANDING], ids=lambda fmt: fmt.name
)
def test_what_is_packed_is_restored(fmt):
    weights = heavy_tailed()
    chosen = Rotation().choose(weights, fmt, inputs_of(768))
    back = chosen.rotation.rotate_back(chosen.format.dequantize(chosen.packed))
    np.testing.assert_array_equal(back, chosen.restored)
    assert relative(chosen.restored - weights, weights) < 0.02
    assert chosen.stored_bytes == fmt.stored_bytes((256, 768)) + (256 + 768) // 8


def test_the_seed_decides():
    weights, fmt = heavy_tailed((64, 64)), get_format("INT4_G32")
    first, again, other = (
        Rotation(seed=seed).choose(weights, fmt, inputs_of(64)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.restored, again.restored)
    assert (first.restored != other.restored).any()


def test_runs_store_no_signs():
    weights, fmt = heavy_tailed((8, 64)), get_format("NVFP4_TENSOR")
    chosen = Rotation(run=16).choose(weights, fmt, inputs_of(64))
    assert chosen.stored_bytes == fmt.stored_bytes((8, 64))
    with pytest.raises(ValueError, match="does not divide into Hadamard runs of 48"):
        Rotation(run=48).check((8, 64), fmt)
    with pytest.raises(ValueError, match="multiple of 256"):
        Rotation().check((8, 64), get_format("Q4_K"))


def drift_of_logits(config, weights):
    """Largest change of a logit by a rotation of the stream, relative to the largest logit."""
    rotation = RandomHadamard.drawn(config.hidden_size, np.random.default_rng(0))
    turned_config, turned = rotate_residual(config, weights, rotation)
    assert np.abs(turned["blk.1.ffn_up.weight"] - weights["blk.1.ffn_up.weight"]).max() > 0.01
    assert all((turned[name] == 1).all() for name in turned if "norm" in name)
    tokens = np.arange(5, 37)
    wanted = Llama(config, weights).logits(tokens)
    return np.abs(Llama(turned_config, turned).logits(tokens) - wanted).max() / np.abs(wanted).max()


def test_the_shipped_model_says_what_it_said():
    model = open_model()
    weights = {name: model.weights(name) for name in model.tensors}
    assert drift_of_logits(model.config, weights) < 1e-5


def test_an_untied_model_with_biases_says_what_it_said():
    config = replace(
        open_model().config, n_layers=2, vocabulary_size=40, hidden_size=96, head_size=32,
        feed_forward_size=64, attention_bias=True, output_bias=True, mlp_bias=True,
        tied_embedding=False,
    )  # fmt: skip
    weights = {
        name: RNG.normal(1, 0.3, shape).astype(np.float32)
        if "norm" in name
        else RNG.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    assert drift_of_logits(config, weights) < 1e-5
