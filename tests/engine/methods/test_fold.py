"""Scales that go into what stands before leave the model as it was."""

import numpy as np
import pytest

from quantcore import open_model
from quantcore.methods.fold import can_fold, folded
from quantcore.model.config import LlamaConfig
from quantcore.model.layer import ENTRIES
from quantcore.model.llama import Llama
from quantcore.model.names import expected_shapes

TOKENS = np.random.default_rng(1).integers(3, 250, 60)


def random_model(n_kv_heads):
    """Two layers with a bias on every matrix."""
    config = LlamaConfig(
        model_type="llama",
        n_layers=2,
        hidden_size=64,
        feed_forward_size=96,
        n_heads=4,
        n_kv_heads=n_kv_heads,
        head_size=16,
        vocabulary_size=256,
        context_length=64,
        norm_epsilon=1e-5,
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
    )
    rng = np.random.default_rng(2)
    weights = {
        name: (rng.normal(0, 0.15, shape) + (len(shape) == 1 and "norm" in name)).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    return config, weights


def shipped_model():
    model = open_model()
    return model.config, {name: model.weights(name) for name in model.tensors}


def scales_for(config, weights):
    """Random scales over two decades, for every input that can have some."""
    rng, scales = np.random.default_rng(3), {}
    for layer in range(config.n_layers):
        for place, roles in enumerate(ENTRIES):
            if can_fold(weights, layer, place):
                names = [f"blk.{layer}.{role}.weight" for role in roles.split()]
                n_cols = weights[names[0]].shape[1]
                scales |= dict.fromkeys(names, np.float32(10) ** rng.uniform(-1, 1, n_cols))
    if "output.weight" in weights:
        n_cols = weights["output.weight"].shape[1]
        scales["output.weight"] = np.float32(10) ** rng.uniform(-1, 1, n_cols)
    return {name: each.astype(np.float32) for name, each in scales.items()}


@pytest.mark.parametrize(
    ("make", "n_scaled"),
    [
        (shipped_model, 6),
        (lambda: random_model(2), 6),
        (lambda: random_model(4), 7),
    ],
    ids=["shipped", "shared heads with biases", "heads of their own with biases"],
)
def test_logits_stay(make, n_scaled):
    config, weights = make()
    scales = scales_for(config, weights)
    assert len(scales) == n_scaled * config.n_layers + ("output.weight" in weights)
    before = Llama(config, weights).logits(TOKENS)
    after = Llama(config, folded(weights, scales)).logits(TOKENS)
    assert np.abs(after - before).max() < 1e-5 * np.abs(before).max()
    assert not np.array_equal(after, before)


def test_what_cannot_be_folded_is_refused():
    _, weights = random_model(2)
    assert not can_fold(weights, 0, 1)
    ones, inner = np.ones(64, np.float32), np.ones(96, np.float32)
    with pytest.raises(ValueError, match=r"In layer 1 attn_output can't have scales"):
        folded(weights, {"blk.1.attn_output.weight": ones})
    with pytest.raises(ValueError, match="have one input and so need the same scales"):
        folded(weights, {"blk.0.ffn_gate.weight": ones})
    with pytest.raises(ValueError, match="have one input and so need the same scales"):
        folded(weights, {"blk.0.ffn_gate.weight": ones, "blk.0.ffn_up.weight": 2 * ones})
    for bad in (0, -1, np.nan, np.inf):
        inner[3] = bad
        with pytest.raises(ValueError, match="must be positive numbers"):
            folded(weights, {"blk.0.ffn_down.weight": inner})
