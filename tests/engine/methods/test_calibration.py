"""Sums over the inputs of matrices, beside the importance matrix and inputs caught one by one."""

import dataclasses

import numpy as np
import pytest

from quantcore.evaluate.importance import measure_imatrix
from quantcore.evaluate.text import calibration_text, cut
from quantcore.methods.inputs.calibration import calibrate, calibration_steps
from quantcore.model.llama import Llama
from quantcore.model.source import open_model
from quantcore.pool import threads
from tests.support import toy_model

EVERYTHING = ("second_moment", "rows")
CONTEXT = 64


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    config = toy_model.CONFIG | {"tie_word_embeddings": False}
    return open_model(toy_model.write_folder(tmp_path_factory.mktemp("toy") / "model", config))


@pytest.fixture(scope="module")
def tokens(toy):
    return cut(toy, calibration_text()[:1500], CONTEXT).inputs


@pytest.fixture(scope="module")
def caught(toy, tokens):
    """Catch the inputs of every matrix, as the forward pass itself has them."""
    seen = {}

    def watch(names, rows):
        for name in names:
            seen.setdefault(name, []).append(rows.copy())

    weights = {name: toy.weights(name) for name in toy.tensors}
    llama = Llama(toy.config, weights, watch=watch)
    with threads(1):  # else rows come in the order of threads
        for chunk in tokens:
            llama.output(llama.hidden(chunk[None])[0])
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def test_every_statistic_is_that_of_the_inputs(toy, tokens, caught):
    with threads(1):  # as `caught`: rows by twos and by fours differ in their last bits
        found = calibrate(toy, tokens, list(caught), EVERYTHING, n_rows=50)
    assert found.keys() == set(toy.quantizable) - {"token_embd.weight"}
    for name, inputs in found.items():
        x = caught[name].astype(np.float64)
        assert inputs.n_tokens == len(x) == tokens.size
        np.testing.assert_allclose(inputs.mean_square, np.square(x).mean(0), rtol=1e-6)
        np.testing.assert_allclose(inputs.mean_abs, np.abs(x).mean(0), rtol=1e-6)
        np.testing.assert_array_equal(inputs.largest, np.abs(caught[name]).max(0))
        moment, bound = x.T @ x / len(x), np.abs(x).T @ np.abs(x) / len(x) * CONTEXT * 2.0**-24
        assert (np.abs(inputs.second_moment - moment) <= bound).all()
        np.testing.assert_array_equal(inputs.second_moment, inputs.second_moment.T)
        every = [len(x) * i // 50 for i in range(50)]
        np.testing.assert_array_equal(inputs.rows, caught[name][every])
        assert inputs.cross_moment is None


def test_mean_squares_are_the_importance_matrix():
    model = open_model()
    text = calibration_text()[:9000]
    imatrix = measure_imatrix(model, text, 256)
    names = [name for name in model.quantizable if name.startswith("blk.")]
    found = calibrate(model, cut(model, text, 256).inputs, names)
    for name in names:
        np.testing.assert_array_equal(found[name].mean_square, imatrix.importance(name))
        assert found[name].second_moment is None and found[name].rows is None


def test_matrices_of_one_input_share_its_statistics(toy, tokens):
    names = ["blk.1.attn_q.weight", "blk.1.attn_v.weight", "blk.1.ffn_down.weight"]
    q, v, down = calibrate(toy, tokens, names).values()
    assert q is v and q is not down


def test_only_layers_up_to_the_last_matrix_run(toy, tokens):
    broken = {name: dataclasses.replace(t) for name, t in toy.tensors.items()}
    unread = dict(toy._stored)
    for name in list(unread):
        if name.startswith("blk.1."):
            del unread[name]
    half = dataclasses.replace(toy, tensors=broken, _stored=unread)
    found = calibrate(half, tokens, ["blk.0.ffn_down.weight"])
    whole = calibrate(toy, tokens, ["blk.0.ffn_down.weight"])
    for name in whole:
        np.testing.assert_array_equal(found[name].mean_square, whole[name].mean_square)


def test_two_models_side_by_side(toy, tokens, caught):
    name = "blk.1.attn_output.weight"
    weights = {each: toy.weights(each) for each in toy.tensors}
    weights["blk.0.ffn_up.weight"] = weights["blk.0.ffn_up.weight"] * np.float32(0.9)
    seen = []
    watch = lambda names, rows: seen.append(rows.copy()) if name in names else None  # noqa: E731
    watched = Llama(toy.config, weights, watch=watch)
    with threads(1):
        for chunk in tokens:
            watched.hidden(chunk[None])
    quantized = Llama(toy.config, weights)
    found = calibrate(toy, tokens, [name], ("second_moment", "cross_moment"), quantized=quantized)[
        name
    ]
    x, q = caught[name].astype(np.float64), np.concatenate(seen).astype(np.float64)
    assert np.abs(x - q).max() > 0.01
    np.testing.assert_allclose(found.mean_square, np.square(q).mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.second_moment, q.T @ q / len(q), atol=1e-5)
    np.testing.assert_allclose(found.cross_moment, x.T @ q / len(q), atol=1e-5)


def test_work_can_be_left_at_any_step(toy, tokens):
    steps = calibration_steps(toy, tokens, ["blk.1.attn_q.weight"])
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(shares) == 2 + len(tokens) * 5


def test_what_does_not_suit_is_said(toy, tokens):
    def refused(match, names, statistics=(), some=tokens, **more):
        with pytest.raises(ValueError, match=match):
            calibrate(toy, some, names, statistics, **more)

    refused("looked up", ["token_embd.weight"])
    refused("not a matrix", ["blk.0.attn_norm.weight"])
    refused("not a matrix", ["blk.7.attn_q.weight"])
    refused("no tensor", ["blk.0.nothing.weight"])
    refused("side by side", ["blk.0.attn_q.weight"], ("cross_moment",))
    refused("chunks", ["blk.0.attn_q.weight"], some=tokens[:0])
    refused("chunks", [])
    weights = {name: toy.weights(name) for name in toy.tensors}
    weights["blk.0.ffn_gate.weight"] = np.full_like(weights["blk.0.ffn_gate.weight"], np.nan)
    broken = Llama(toy.config, weights)
    refused("layer 1, attn_q, attn_k, attn_v: inputs are not finite", ["blk.1.attn_k.weight"],
            quantized=broken)  # fmt: skip
