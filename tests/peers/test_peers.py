"""The lab beside transformers and llama.cpp, live: make peers, with requirements-peers.txt."""

import numpy as np
import pytest

from quantcore import measure_perplexity, open_model
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut, evaluation_text

pytestmark = pytest.mark.peers
N_CHARACTERS = 12_000


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


@pytest.fixture(scope="module")
def chunks():
    return cut(open_model(), evaluation_text()[:N_CHARACTERS], 512)


@pytest.fixture(scope="module")
def gguf_path(tmp_path_factory):
    from tests.peers import gguf_file

    model = open_model()
    path = tmp_path_factory.mktemp("gguf") / "f32.gguf"
    gguf_file.write(path, model.config, {name: model.weights(name) for name in model.tensors})
    return path


def test_logits_of_transformers(chunks):
    transformers, torch = (pytest.importorskip(name) for name in ("transformers", "torch"))
    model = open_model()
    peer = transformers.AutoModelForCausalLM.from_pretrained(model.path, dtype=torch.float32)
    tokens = chunks.inputs[0]
    with torch.no_grad():
        wanted = peer(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0].numpy()
    np.testing.assert_allclose(llama_of(model).logits(tokens), wanted, rtol=0, atol=1e-4)


def test_tokens_of_transformers(chunks):
    transformers = pytest.importorskip("transformers")
    peer = transformers.AutoTokenizer.from_pretrained(open_model().path)
    text = evaluation_text()[:N_CHARACTERS]
    tokens = peer(text, verbose=False)["input_ids"][: chunks.tokens.size]
    np.testing.assert_array_equal(chunks.tokens.ravel(), tokens)


@pytest.mark.parametrize("exact", [True, False])
def test_llama_cpp(gguf_path, chunks, exact):
    """Logits and perplexity; with F16 keys and values, llama.cpp's own default, less closely."""
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model = open_model()
    with llama_cpp.opened(gguf_path, model.config.vocabulary_size, exact=exact) as peer:
        logits = peer.logits(chunks.inputs[0])
        perplexity, error = peer.perplexity(chunks.inputs)
    atol = 1e-3 if exact else 5e-2
    np.testing.assert_allclose(llama_of(model).logits(chunks.inputs[0]), logits, rtol=0, atol=atol)
    measured = measure_perplexity(model, text=evaluation_text()[:N_CHARACTERS])
    assert measured.perplexity == pytest.approx(perplexity, rel=1e-6 if exact else 1e-4)
    assert measured.perplexity_error == pytest.approx(error, rel=1e-5 if exact else 1e-3)
