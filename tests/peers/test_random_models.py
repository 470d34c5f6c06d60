"""Random models in a folder and in GGUF files, to the lab, llama.cpp and transformers: make peers.

RANDOM_MODELS=200 runs as many (default: 20), RANDOM_MODELS_FROM=7 begins at another seed.

How far logits may lie apart: every value goes through 7 matrix products a layer and the last one.
A product of n terms in float32 errs by about sqrt(n) * 2**-24 of its size, which is 2**-20 for the
widest here; errors of up to 22 products add up, and softmax and norms multiply them by a small
factor. So: `EXACT` = 2**-20 * 22 * 8 of the largest logit. transformers computes in float64.
A file in Q8_0 is decoded by gguf for transformers, with the same bound. llama.cpp rounds the inputs
of its products to 8 bits as well: steps of 1/127 of a block's largest, which is about 2.5 times its
root mean square, err by 2.5 / 127 / sqrt(12) = 0.6% of it; 22 products add that up to 2.7%, and
two computations whose steps fall otherwise are sqrt(2) times as far apart: `ROUNDED` = 4% of the
logits' spread, as root mean square.
"""

import os
from collections import Counter

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan
from quantcore.evaluate.perplexity import measure_perplexity
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut
from quantcore.model.names import to_hugging_face
from quantcore.recipe.quantize import quantize
from tests.support.random_models import DECOMPOSED, TEXT, write_random

pytestmark = pytest.mark.peers
FIRST = int(os.environ.get("RANDOM_MODELS_FROM", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("RANDOM_MODELS", "20")))
EXACT = 2**-20 * 22 * 8
ROUNDED = 0.04
CONTEXT = 48
REFUSED: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")
    yield
    for reason, n in REFUSED.most_common():
        print(f"{n} refused: {reason}")


@pytest.mark.parametrize("seed", SEEDS)
def test_all_give_the_same(tmp_path, seed):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    made = write_random(tmp_path / "made", seed)
    path, eights = tmp_path / "made.gguf", tmp_path / "eights.gguf"
    try:
        model = open_model(made.folder)
        quantize(model, plan(model, "F32"), path)
        quantize(model, plan(model, "Q8_0"), eights)
    except ModelError as problem:
        says = str(problem).replace(str(tmp_path), "")
        assert says.endswith(".") and "\n" not in says
        REFUSED[says] += 1
        pytest.skip(says)
    file, n = open_model(path), model.config.vocabulary_size
    peer = _Transformers(made.folder)
    with llama_cpp.opened(path, n, context=CONTEXT, exact=True) as other:
        _same_tokens(model, file, peer, other, str(made))
        tokens = model.tokenizer.encode(TEXT)[:CONTEXT]
        expected = peer.logits(tokens)
        close = {"atol": EXACT * np.abs(expected).max(), "rtol": 0.0}
        for who, logits in (
            ("folder", llama_of(model).logits(tokens)),
            ("file", llama_of(file).logits(tokens)),
            ("llama.cpp", other.logits(tokens)),
        ):
            np.testing.assert_allclose(logits, expected, **close, err_msg=f"{who} of {made}")
        chunks = _chunks(model)
        ours = measure_perplexity(model, text=TEXT * 2, context=CONTEXT).perplexity
        theirs, _ = other.perplexity(chunks)
        assert np.log(ours) == pytest.approx(np.log(theirs), abs=close["atol"]), str(made)
    file = open_model(eights)
    expected = peer.decoded(eights, file.config).logits(tokens)
    ours = llama_of(file).logits(tokens)
    np.testing.assert_allclose(ours, expected, **close, err_msg=f"Q8_0 of {made}")
    with llama_cpp.opened(eights, n, context=CONTEXT, exact=True) as other:
        ours, theirs = llama_of(file, activations="Q8").logits(tokens), other.logits(tokens)
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < ROUNDED * theirs.std(), str(made)


def _same_tokens(model, file, peer, other, made):
    text = DECOMPOSED + TEXT
    expected = peer.tokens(text)
    np.testing.assert_array_equal(model.tokenizer.encode(text), expected, made)
    np.testing.assert_array_equal(file.tokenizer.encode(text), expected, made)
    first = any("further space" in says for says in model.tokenizer.differences)
    for text in (TEXT, " " + TEXT, "a<|end|>b<tool>c <|begin|> d"):
        expected = peer.tokens(text)
        if first and text != TEXT:  # told of: the file is as llama.cpp has it, the folder is not
            np.testing.assert_array_equal(model.tokenizer.encode(text), expected, made)
            expected = other.tokens(text, parse_special=True)
        else:
            np.testing.assert_array_equal(model.tokenizer.encode(text), expected, made)
        np.testing.assert_array_equal(file.tokenizer.encode(text), expected, made)
        np.testing.assert_array_equal(other.tokens(text, parse_special=True), expected, made)
    around = peer.tokens("the", special=True)
    np.testing.assert_array_equal(other.tokens("the", True, add_special=True), around, made)
    assert model.tokenizer.adds_bos == file.tokenizer.adds_bos
    assert model.tokenizer.adds_bos == (around[0] == model.tokenizer.bos_id), made


def _chunks(model):
    """Cut the text as llama-perplexity does: BOS takes a chunk's first place where it is used."""
    return cut(model, TEXT * 2, CONTEXT).inputs


class _Transformers:
    """The model as transformers runs it, in float64."""

    def __init__(self, folder):
        torch, transformers = (pytest.importorskip(name) for name in ("torch", "transformers"))
        self._torch = torch
        self._tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        auto = transformers.AutoModelForCausalLM
        self._model = auto.from_pretrained(folder, dtype=torch.float32).double().eval()

    def decoded(self, path, config):
        """Take the weights of a GGUF file, decoded by gguf, in place of the folder's."""
        gguf = pytest.importorskip("gguf")
        state = {}
        for tensor in gguf.GGUFReader(path).tensors:
            if tensor.name == "rope_freqs.weight":  # the folder's config says them
                continue
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
            heads = {"attn_q": config.n_heads, "attn_k": config.n_kv_heads}
            role = tensor.name.split(".")[-2]
            if config.model_type == "llama" and role in heads:
                size = heads[role], -1, 2, *values.shape[1:]
                values = values.reshape(size).swapaxes(1, 2).reshape(values.shape)
            state[to_hugging_face(tensor.name)] = self._torch.from_numpy(values.copy()).double()
        state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
        self._model.load_state_dict(state)
        return self

    def tokens(self, text, special=False):
        return self._tokenizer(text, add_special_tokens=special)["input_ids"]

    def logits(self, tokens):
        with self._torch.no_grad():
            ids = self._torch.from_numpy(np.asarray(tokens, np.int64))[None]
            return self._model(ids).logits[0].numpy()
