"""One product as llama.cpp computes it, given the same input: make peers."""

import ctypes

import numpy as np
import pytest

from quantcore import open_model, plan
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.activations import input_type, rounded
from quantcore.recipe.quantize import quantize

pytestmark = pytest.mark.peers
CALLBACK_WORDS = (22, 23)  # of llama_context_params: cb_eval
INPUT, OUTPUT, WEIGHTS = "attn_norm-0", "Vcur-0", "blk.0.attn_v.weight"


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


class _Tensor(ctypes.Structure):
    """The start of struct ggml_tensor of ggml.h, up to its name."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    )


def seen(llama_cpp, monkeypatch, path, model, tokens):
    """Run tokens and keep the input and the output of the first layer's values."""
    tensors = {}

    def look(tensor, ask, _):
        tensor, name = tensor[0], tensor[0].name.decode()
        if name not in (INPUT, OUTPUT) or name in tensors:
            return False
        if not ask:
            shape = tensor.ne[1], tensor.ne[0]
            values = ctypes.cast(tensor.data, ctypes.POINTER(ctypes.c_float))
            tensors[name] = np.ctypeslib.as_array(values, shape).copy()
        return True

    kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(_Tensor), ctypes.c_bool, ctypes.c_void_p)
    callback = kind(look)
    library = llama_cpp._library()
    defaults = library.llama_context_default_params

    class Watched:
        def __getattr__(self, name):
            return getattr(library, name)

        def llama_context_default_params(self):
            options, place = defaults(), ctypes.cast(callback, ctypes.c_void_p).value
            for word, value in zip(CALLBACK_WORDS, (place & 0xFFFFFFFF, place >> 32), strict=True):
                options.words[word] = value
            return options

    monkeypatch.setattr(llama_cpp, "_library", Watched)
    with llama_cpp.opened(path, model.config.vocabulary_size, exact=True) as peer:
        peer.logits(tokens)
    return tensors[INPUT], tensors[OUTPUT]


@pytest.mark.parametrize("file_type", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", "IQ4_XS"])
def test_a_product_of_llama_cpp(file_type, tmp_path, monkeypatch):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    original = open_model()
    path = tmp_path / "model.gguf"
    quantize(original, plan(original, file_type), path)
    model = open_model(path)
    tokens = cut(model, evaluation_text()[:12_000], 512).inputs[0]
    rows, expected = seen(llama_cpp, monkeypatch, path, model, tokens)
    weights, kind = model.weights(WEIGHTS), input_type(model.tensors[WEIGHTS].dtype)
    product = rounded(rows, kind).astype(np.float64) @ weights.T.astype(np.float64)
    np.testing.assert_allclose(product, expected, rtol=0, atol=2e-6)
    plain = rows.astype(np.float64) @ weights.T.astype(np.float64)
    assert np.abs(plain - expected).max() > 1e-3, "without rounding it is far off"
