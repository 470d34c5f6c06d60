"""A forward pass that is left in the middle of a layer and taken up again, or changed there."""

import json

import numpy as np
import pytest

from quantcore import Llama, open_model
from quantcore.model.layer import ENTRIES, ENTRY_OF
from tests.support import toy_model
from tests.support.toy_model import CONFIG, write_folder

TOKENS = np.random.default_rng(1).integers(3, 250, (2, 48))
QWEN = CONFIG | {
    "model_type": "qwen3", "num_hidden_layers": 3, "tie_word_embeddings": True, "head_dim": 16
}  # fmt: skip


@pytest.fixture(scope="module", params=[CONFIG, QWEN], ids=["llama", "qwen3"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    folder.mkdir()
    if request.param is QWEN:
        return _with_head_norms(folder)
    return open_model(write_folder(folder))


def _with_head_norms(folder):
    arrays = toy_model.tensors(QWEN)
    for layer in range(QWEN["num_hidden_layers"]):
        for role in "qk":
            name = f"model.layers.{layer}.self_attn.{role}_norm.weight"
            arrays[name] = np.linspace(0.5, 1.5, 16, dtype=np.float32)
    (folder / "config.json").write_text(json.dumps(QWEN), encoding="utf-8")
    toy_model.write_safetensors(folder / "model.safetensors", arrays)
    toy_model.write_tokenizer(folder)
    return open_model(folder)


def _weights(model):
    return {name: model.weights(name) for name in model.tensors}


def _walk(llama, first=0):
    """Every place where the pass can be left."""
    stop = llama.begin(TOKENS)
    yield stop
    while stop.layer < llama.config.n_layers:
        stop = llama.step(stop, first)
        yield stop


def test_going_on_from_any_place_gives_the_same(model):
    llama = Llama(model.config, _weights(model))
    whole = llama.hidden(TOKENS)
    stops = list(_walk(llama))
    assert [(s.layer, s.place) for s in stops] == [
        *((i, place) for i in range(model.config.n_layers) for place in range(len(ENTRIES))),
        (model.config.n_layers, 0),
    ]
    before = [stop.states.copy() for stop in stops]
    for stop in stops:
        *_, again = llama.hidden_after(stop)
        np.testing.assert_allclose(again, whole, rtol=0, atol=2e-5)
    for stop, states in zip(stops, before, strict=True):
        np.testing.assert_array_equal(stop.states, states)  # a stop can be used again


def test_the_last_layer_leaves_out_what_is_not_wanted(model):
    llama = Llama(model.config, _weights(model))
    whole = llama.hidden(TOKENS)[:, 31:]
    for stop in _walk(llama, first=31):
        *_, tail = llama.hidden_after(stop, first=31)
        assert tail.shape == whole.shape
        np.testing.assert_allclose(tail, whole, rtol=0, atol=2e-5)
    assert stop.states.shape[1] == 48 - 31


def test_a_changed_matrix_takes_effect_from_its_place_on(model):
    """Gone on from the stop before it, the changed model is the one built with those weights."""
    weights = _weights(model)
    llama = Llama(model.config, weights)
    stops = {(s.layer, s.place): s for s in _walk(llama)}
    for name in model.quantizable:
        tensor = model.tensors[name]
        changed = {name: np.round(4 * weights[name]) / 4}
        fresh = Llama(model.config, weights | changed)
        same = llama.replaced(changed)
        np.testing.assert_array_equal(same.hidden(TOKENS), fresh.hidden(TOKENS))
        np.testing.assert_array_equal(same.logits(TOKENS[0]), fresh.logits(TOKENS[0]))
        if tensor.layer is None:
            continue
        stop = stops[tensor.layer, ENTRY_OF[tensor.role]]
        *_, after = same.hidden_after(stop)
        np.testing.assert_allclose(after, fresh.hidden(TOKENS), rtol=0, atol=2e-5)
        assert np.abs(after - llama.hidden(TOKENS)).max() > 1e-3
    np.testing.assert_array_equal(llama.hidden(TOKENS), Llama(model.config, weights).hidden(TOKENS))
