"""Activations rounded as ggml rounds them, and perplexity as llama.cpp measures it with them."""

import json

import numpy as np
import pytest

from quantcore import Llama, measure_drift, open_model
from quantcore.evaluate.perplexity import score
from quantcore.evaluate.quantized import llama_of, stored_types
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.activations import input_type, rounded
from tests.support.places import GOLDEN
from tests.support.toy_model import write_folder

RECORDED = json.loads((GOLDEN / "perplexity_shipped.json").read_text(encoding="utf-8"))
# Standard deviation of what rounding activations changes in a token's score, nats: it follows the
# step: 2^-8 in BF16, 2^-11 in F16, 2^-7 of the largest of a block in Q8. F32 has caches in F16.
SPREAD = {"F32": 7e-5, "F16": 2.3e-4, "BF16": 1.8e-3, "Q8_0": 9e-3, "Q4_K_M": 0.015, "Q4_0": 0.013}
TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 8


@pytest.mark.parametrize("kind", ["Q8_0", "Q8_K"])
def test_rounded_as_by_ggml(kind):
    with np.load(GOLDEN / "activations.npz") as golden:
        np.testing.assert_array_equal(rounded(golden["rows"], kind), golden[kind])


def test_halves_and_floats():
    rows = np.float32([[1 + 2**-12, 1 / 3, -70000, 1e-9]])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(rounded(rows, "F16"), rows.astype(np.float16))
    assert rounded(rows, "F32") is rows
    assert rounded(np.float32([[1.003]]), "BF16")[0, 0] == 1.0


def test_every_type_of_weights_has_its_input():
    kinds = {name: input_type(name) for name in GGML_TYPES if name[0] != "I" or "Q" in name}
    assert {kinds[name] for name in ("Q4_0", "Q5_1", "IQ4_NL", "MXFP4", "NVFP4")} == {"Q8_0"}
    assert {kinds[name] for name in ("Q2_K", "Q6_K", "IQ4_XS", "TQ1_0", "IQ2_XXS")} == {"Q8_K"}
    assert [kinds[name] for name in ("F32", "F16", "BF16")] == ["F32", "F16", "BF16"]
    with pytest.raises(ValueError, match=r"llama.cpp has no INT4_G128"):
        input_type("INT4_G128")


@pytest.fixture(scope="module")
def plain():
    """Scores of the original with activations as they are, nats by token."""
    return _nll("F32")


def _nll(type, activations="F32"):
    """Score the text on which llama.cpp was recorded; (n_scored,) nats."""
    model = open_model()
    chunks = cut(model, evaluation_text()[: RECORDED["characters"]], RECORDED["context"])
    llama, scored = llama_of(model, type, activations), chunks.scored[0]
    states = (llama.hidden(inputs[None])[0, :-1][scored] for inputs in chunks.inputs)
    targets = chunks.tokens[:, 1:][:, scored]
    return np.concatenate([score(llama, *each).nll for each in zip(states, targets, strict=True)])


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q8_0", "Q4_K_M", "Q4_0"])
def test_perplexity_is_that_of_llama_cpp(name, plain):
    """As near as two programs that round activations can be: docs/llama_cpp.md.

    A number that lies between two codes, nearer to the middle than float32 can tell, goes up in one
    program (or with one of BLAS's kernels) and down in another. That moves all that is computed
    from it by a whole step, so more tips over; some layers later the errors of rounding are as good
    as independent. Then the scores of a token differ by two such errors, and their mean over n
    tokens by the square root of 2 / n of one. Five times that is one case in two million.
    """
    floats = name in ("F32", "F16", "BF16")  # of which nothing is lost: the model is in BF16
    type = dict.fromkeys(open_model().quantizable, name) if floats else name
    rounded_nll = _nll(type, "Q8")
    error = rounded_nll - (plain if floats else _nll(type))
    assert error.any()  # it is rounded
    theirs = np.log(RECORDED["files"][name]["default"]["perplexity"])
    assert abs(rounded_nll.mean() - theirs) < 5 * error.std() * np.sqrt(2 / error.size)
    # Wrong rounding would make the error larger, and with it the bound: so that is held, too.
    assert SPREAD[name] / 2 < error.std() < 2 * SPREAD[name]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def test_matrices_side_by_side_have_their_own_input(toy):
    """Queries in F32 beside values in Q8_0: only the values' input is rounded."""
    weights = {name: toy.weights(name) for name in toy.tensors}
    types = dict.fromkeys(toy.quantizable, "F32")
    seen = []
    for attn_v in ("F32", "Q8_0"):
        llama = Llama(toy.config, weights, types | {"blk.0.attn_v.weight": attn_v})
        qkv = llama.layers[0].qkv
        rows = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
        seen.append(qkv.times(rows))
    n_values = weights["blk.0.attn_v.weight"].shape[0]
    np.testing.assert_allclose(seen[0][:, :-n_values], seen[1][:, :-n_values], rtol=0, atol=1e-5)
    expected = rounded(rows, "Q8_0") @ weights["blk.0.attn_v.weight"].T
    np.testing.assert_allclose(seen[1][:, -n_values:], expected, rtol=0, atol=1e-5)
    assert np.abs(seen[0] - seen[1]).max() > 1e-4


def test_the_original_stays_as_it_is(toy):
    plain = measure_drift(toy, "Q8_0", TEXT, 64)
    rounded = measure_drift(toy, "Q8_0", TEXT, 64, activations="Q8")
    assert rounded.base_perplexity == plain.base_perplexity
    assert rounded.mean_kl_divergence > plain.mean_kl_divergence
    same = measure_drift(toy, "F32", TEXT, 64, activations="Q8")
    assert 0 < same.mean_kl_divergence < 1e-4  # the float16 cache alone: the toy is in F32


def test_types_of_the_original_are_those_of_its_file():
    assert set(stored_types(open_model()).values()) == {"BF16"}
    assert set(stored_types(open_model(), "q4_k").values()) == {"Q4_K", "Q6_K"}
    assert set(stored_types(open_model(), "q4_k pure").values()) == {"Q4_K"}
    with pytest.raises(ValueError, match=r"llama.cpp has no INT8_ROW"):
        llama_of(open_model(), "INT8_ROW", activations="Q8")
