"""Activations rounded as ggml rounds them, and perplexity as llama.cpp measures it with them."""

import json

import numpy as np
import pytest

from quantcore import Llama, measure_drift, measure_perplexity, open_model
from quantcore.evaluate.quantized import llama_of, stored_types
from quantcore.evaluate.text import evaluation_text
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.activations import input_type, rounded
from tests.support.places import GOLDEN
from tests.support.toy_model import write_folder

RECORDED = json.loads((GOLDEN / "perplexity_shipped.json").read_text(encoding="utf-8"))
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


def test_perplexity_comes_nearer_to_llama_cpp():
    """What tips over differs between any two programs, so a rest remains: docs/llama_cpp.md."""
    text, without, with_q8 = evaluation_text()[: RECORDED["characters"]], [], []
    for name in ("Q8_0", "Q4_K_M", "Q4_0"):
        theirs = RECORDED["files"][name]["default"]["perplexity"]
        plain = measure_perplexity(open_model(), name, text).perplexity
        ours = measure_perplexity(open_model(), name, text, activations="Q8").perplexity
        assert ours == pytest.approx(theirs, rel=2e-4), name
        without.append(abs(plain / theirs - 1))
        with_q8.append(abs(ours / theirs - 1))
    assert np.mean(with_q8) < np.mean(without) / 2


@pytest.mark.parametrize(("dtype", "rel"), [("F32", 1e-6), ("F16", 1e-5), ("BF16", 1e-5)])
def test_perplexity_with_floats(dtype, rel):
    text = evaluation_text()[: RECORDED["characters"]]
    found = measure_perplexity(open_model(), dict.fromkeys(open_model().quantizable, dtype), text,
                               activations="Q8")  # fmt: skip
    theirs = RECORDED["files"][dtype]["default"]["perplexity"]
    assert found.perplexity == pytest.approx(theirs, rel=rel)


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
    found = measure_drift(toy, "Q8_0", TEXT, 64, activations="Q8")
    assert found.base_perplexity == plain.base_perplexity
    assert found.mean_kl_divergence > plain.mean_kl_divergence
    same = measure_drift(toy, "F32", TEXT, 64, activations="Q8")
    assert 0 < same.mean_kl_divergence < 1e-4  # the float16 cache alone: the toy is in F32


def test_types_of_the_original_are_those_of_its_file():
    assert set(stored_types(open_model()).values()) == {"BF16"}
    assert set(stored_types(open_model(), "q4_k").values()) == {"Q4_K", "Q6_K"}
    assert set(stored_types(open_model(), "q4_k pure").values()) == {"Q4_K"}
    with pytest.raises(ValueError, match=r"llama.cpp has no INT8_ROW"):
        llama_of(open_model(), "INT8_ROW", activations="Q8")
