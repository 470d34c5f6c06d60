"""The shipped model in llama.cpp with other caches, live: make peers."""

import pytest

from quantcore import open_model
from quantcore.evaluate.quantized import restored_tensors
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.cache_types import CacheTypes
from quantcore.model.llama import Llama

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


@pytest.fixture(scope="module")
def gguf_path(tmp_path_factory):
    gguf_file = pytest.importorskip("tests.peers.gguf_file")
    model = open_model()
    path = tmp_path_factory.mktemp("gguf") / "f32.gguf"
    gguf_file.write(path, model.config, {name: model.weights(name) for name in model.tensors})
    return path


@pytest.mark.parametrize("pair", [("Q8_0", "Q8_0"), ("Q4_0", "Q4_0"), ("Q8_0", "Q4_0")])
@pytest.mark.parametrize("rotation", [True, False], ids=["rotated", "plain"])
def test_the_shipped_model_with_a_cache_of_llama_cpp(gguf_path, pair, rotation, monkeypatch):
    """As tests/engine/model/test_cache_types.py does with what was recorded of a random model."""
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model = open_model()
    tokens = cut(model, evaluation_text()[:12_000], 512).inputs[0]
    monkeypatch.setenv("LLAMA_ATTN_ROT_DISABLE", "0" if rotation else "1")
    with llama_cpp.opened(gguf_path, model.config.vocabulary_size, cache=pair) as peer:
        theirs = peer.logits(tokens)
    weights = dict(restored_tensors(model))
    exact = Llama(model.config, weights)
    rounds = Llama(model.config, weights, dict.fromkeys(model.quantizable, "F32"))
    effect = (theirs - exact.logits(tokens)).std()
    for mine, low, high in ((rotation, 0, 0.4), (not rotation, 0.9, 3)):
        logits = rounds.with_cache(CacheTypes(*pair, rotation=mine)).logits(tokens)
        assert low * effect <= (logits - theirs).std() < high * effect
