"""Gradients by hand, beside how the loss changes when the weights do."""

import numpy as np
import pytest

from quantcore import Llama
from quantcore.model.backward import gradients
from tests.engine.model.test_stops import _weights, model  # noqa: F401

TOKENS = np.random.default_rng(2).integers(3, 250, 40).astype(np.int32)
WANTED = np.random.default_rng(3).integers(3, 250, 40).astype(np.int32)


def _loss(config, weights):
    logits = Llama(config, weights).logits(TOKENS).astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float((log_sum - logits[np.arange(len(WANTED)), WANTED]).sum())


def test_gradients_are_those_of_finite_differences(model):  # noqa: F811
    """Each matrix is moved along its own gradient, where the loss changes most, and at random."""
    weights = _weights(model)
    summed = {}
    for name, inputs, slope in gradients(Llama(model.config, weights), TOKENS, WANTED):
        if inputs is None:
            by_weights = np.zeros_like(weights[name])
            np.add.at(by_weights, TOKENS, slope)
        else:
            by_weights = slope.T @ inputs
        summed[name] = summed.get(name, 0) + by_weights
    assert set(summed) == set(model.quantizable)
    for name, by_weights in summed.items():
        noise = np.random.default_rng(4).standard_normal(by_weights.shape).astype(np.float32)
        for direction in (by_weights, by_weights * (noise > 0)):
            step = 2e-3 / np.abs(direction).max() * direction
            up, down = (
                _loss(model.config, weights | {name: weights[name] + sign * step})
                for sign in (1, -1)
            )
            expected = 2 * float((by_weights * step).sum(dtype=np.float64))
            assert up - down == pytest.approx(expected, rel=0.01), name
