"""Perplexity: llama-perplexity's definition, checked by a twin and by llama.cpp itself."""

import json

import numpy as np
import pytest

from quantcore import measure_perplexity, open_model
from quantcore.evaluate.perplexity import mean_and_error, perplexity_of
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut, evaluation_text, floor_by_target
from tests.support.places import GOLDEN
from tests.support.toy_model import (
    CONFIG,
    tensors,
    write_folder,
    write_safetensors,
    write_tokenizer,
)

TEXT = "The quick brown fox jumps over the lazy dog. " * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def toy(folder):
    return open_model(folder)


def naive_nll(model, text, context, scored):
    """-log p of the chosen targets, one chunk and one target at a time, in float64."""
    tokens = [model.tokenizer.bos_id, *model.tokenizer.encode(text)]
    llama = llama_of(model)
    values = []
    for start in range(0, len(tokens) - context + 1, context):
        chunk = tokens[start : start + context]
        logits = llama.logits([model.tokenizer.bos_id, *chunk[1:]]).astype(np.float64)
        for place in range(1, context):
            if scored(place):
                row = logits[place - 1]
                values.append(np.log(np.exp(row - row.max()).sum()) + row.max() - row[chunk[place]])
    return values


@pytest.mark.parametrize("context", [16, 17, 64])
def test_equals_the_definition(toy, context):
    nll = naive_nll(toy, TEXT, context, lambda place: place > context // 2)
    measured = measure_perplexity(toy, text=TEXT, context=context)
    assert measured.tokens_scored == len(nll)
    assert measured.perplexity == pytest.approx(np.exp(np.mean(nll)), rel=1e-6)
    wanted = np.exp(np.mean(nll)) * np.std(nll) / np.sqrt(len(nll) - 1)
    assert measured.perplexity_error == pytest.approx(wanted, rel=1e-6)


def test_equals_a_recorded_run_of_llama_cpp():
    golden = json.loads((GOLDEN / "perplexity_shipped.json").read_text())
    text = evaluation_text()[: golden["characters"]]
    measured = measure_perplexity(open_model(), text=text, context=golden["context"])
    assert measured.tokens_scored == golden["chunks"] * 255
    assert measured.perplexity == pytest.approx(golden["f32_cache"]["perplexity"], rel=1e-6)
    assert measured.perplexity_error == pytest.approx(golden["f32_cache"]["error"], rel=1e-6)
    # By default llama.cpp keeps keys and values in F16.
    assert measured.perplexity == pytest.approx(golden["default"]["perplexity"], rel=1e-4)


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(tmp_path):
    folder = write_folder(tmp_path / "flat")
    arrays = tensors()
    arrays["model.embed_tokens.weight"][:] = 0
    write_safetensors(folder / "model.safetensors", arrays)
    measured = measure_perplexity(open_model(folder), text=TEXT, context=32)
    assert measured.perplexity == pytest.approx(CONFIG["vocab_size"])
    assert measured.perplexity_error == pytest.approx(0, abs=1e-6)


def test_chunks_begin_with_bos_and_drop_the_rest(toy):
    chunks = cut(toy, TEXT, 50)
    n_tokens = 1 + len(toy.tokenizer.encode(TEXT))
    assert chunks.tokens.shape == (n_tokens // 50, 50)
    assert (chunks.inputs[:, 0] == toy.tokenizer.bos_id).all()
    np.testing.assert_array_equal(chunks.inputs[:, 1:], chunks.tokens[:, 1:])
    assert TEXT.startswith(toy.tokenizer.decode(chunks.tokens.ravel()))
    before = toy.tokenizer.decode([*chunks.tokens[0], *chunks.tokens[1, :3]])
    assert chunks.starts[1, 3] == len(before)
    assert chunks.scored[0].sum() == 50 - 25 - 1


def test_without_bos_nothing_is_replaced(tmp_path):
    folder = write_folder(tmp_path / "toy")
    write_tokenizer(folder, adds_bos=False)
    chunks = cut(open_model(folder), TEXT, 50)
    np.testing.assert_array_equal(chunks.inputs, chunks.tokens)


@pytest.mark.parametrize(
    ("context", "pattern"), [(3, "4 to 128"), (129, "4 to 128"), (120, "at least 240")]
)
def test_what_does_not_fit_is_refused(toy, context, pattern):
    with pytest.raises(ValueError, match=pattern):
        measure_perplexity(toy, text=TEXT[:200], context=context)


def test_error_is_that_of_the_mean():
    nll = np.random.default_rng(0).exponential(2, 500)
    mean, error = mean_and_error(nll)
    assert error == pytest.approx(np.std(nll, ddof=1) / np.sqrt(500))
    assert perplexity_of(nll) == pytest.approx((np.exp(mean), np.exp(mean) * error))


def test_the_floor_is_charged_to_the_tokens_scored():
    model, text = open_model(), evaluation_text()
    chunks = cut(model, text, 512)
    floor = floor_by_target(text, chunks)
    assert floor.shape == (chunks.tokens.size - len(chunks.tokens),)
    assert (floor > -1e-9).all()
    words = np.loadtxt(model.path / "evaluation_floor.tsv", skiprows=1)
    last = chunks.starts.ravel()[-1]
    first_targets = floor.sum()
    everything = -words[words[:, 0] <= last, 1].sum()
    assert (
        0.98 * everything < first_targets <= everything + 1e-6
    )  # the first of a chunk is no target
    assert floor_by_target(text + " ", chunks) is None
