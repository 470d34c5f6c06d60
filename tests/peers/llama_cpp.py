"""llama.cpp itself, through the C functions that xllamacpp's library exports.

Its parameter structs change with every release, so they are taken as words, and the words that
matter are checked against the known defaults before any of them is set.
"""

import ctypes
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xllamacpp

from quantcore.formats.ggml_types import GGML_TYPES

F32 = 0  # of enum ggml_type
N_CTX, N_BATCH, N_UBATCH, MAX_OUTPUTS, THREADS, THREADS_BATCH, FLASH, TYPE_K, TYPE_V = (
    *(0, 1, 2, 6, 7, 8),
    *(13, 26, 27),
)
DEFAULTS = {N_CTX: 512, N_BATCH: 2048, N_UBATCH: 512, THREADS: 4, THREADS_BATCH: 4} | {
    FLASH: 2**32 - 1,
    TYPE_K: 1,
    TYPE_V: 1,
}


class _Words(ctypes.Structure):
    """Longer than any parameter struct; only the callee knows how much of it is read."""

    _fields_ = [("words", ctypes.c_uint32 * 64)]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def _library():
    (path,) = Path(xllamacpp.__path__[0]).glob("*.so")
    library = ctypes.CDLL(str(path))
    pointer, words = ctypes.c_void_p, _Words
    for name, result, arguments in (
        ("llama_log_set", None, [pointer, pointer]),
        ("llama_model_default_params", words, []),
        ("llama_context_default_params", words, []),
        ("llama_model_load_from_file", pointer, [ctypes.c_char_p, words]),
        ("llama_init_from_model", pointer, [pointer, words]),
        ("llama_get_memory", pointer, [pointer]),
        ("llama_memory_clear", None, [pointer, ctypes.c_bool]),
        ("llama_batch_init", _Batch, [ctypes.c_int32] * 3),
        ("llama_batch_free", None, [_Batch]),
        ("llama_decode", ctypes.c_int32, [pointer, _Batch]),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), [pointer]),
        ("llama_model_get_vocab", pointer, [pointer]),
        (
            "llama_tokenize",
            ctypes.c_int32,
            [
                *(pointer, ctypes.c_char_p, ctypes.c_int32),
                *(ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool),
            ],
        ),
        ("llama_free", None, [pointer]),
        ("llama_model_free", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


class LlamaCpp:
    """One GGUF file, ready to run chunks of up to `context` tokens on the CPU."""

    def __init__(self, library, model, context, n_tokens, n_vocabulary):
        self._library, self._model, self._context = library, model, context
        self._batch = library.llama_batch_init(n_tokens, 0, 1)
        self._n_vocabulary = n_vocabulary

    def logits(self, tokens, first=0):
        """Forget what came before, run the tokens, return logits from place `first` on."""
        library, batch = self._library, self._batch
        library.llama_memory_clear(library.llama_get_memory(self._context), True)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = int(token), i, 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i >= first
        if library.llama_decode(self._context, batch):
            raise RuntimeError("llama_decode failed")
        values = library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(values, (len(tokens) - first, self._n_vocabulary)).copy()

    def tokens(self, text, parse_special=False, add_special=False):
        """Return the token numbers of a text; `add_special`: with those that open or close it."""
        coded = text.encode()
        room = (ctypes.c_int32 * (len(coded) + 16))()
        vocabulary = self._library.llama_model_get_vocab(self._model)
        n = self._library.llama_tokenize(
            vocabulary, coded, len(coded), room, len(room), add_special, parse_special
        )
        return list(room[:n])

    def perplexity(self, chunks):
        """Perplexity of chunks (n, context) and its error, as llama-perplexity computes them."""
        first = chunks.shape[1] // 2
        nll = []
        for chunk in chunks:
            logits = self.logits(chunk, first)[:-1]
            largest = logits.max(axis=1, keepdims=True)
            sums = np.exp(logits - largest).sum(axis=1, dtype=np.float64)
            targets = chunk[first + 1 :]
            true = logits[np.arange(len(targets)), targets].astype(np.float64)
            nll.append(largest[:, 0] + np.log(sums) - true)
        nll = np.concatenate(nll)
        value = np.exp(nll.mean())
        return float(value), float(value * np.sqrt(nll.var() / (len(nll) - 1)))


@contextmanager
def opened(path, n_vocabulary, context=512, n_threads=2, exact=False, cache=None):
    """Open a GGUF file; `exact` keeps keys and values in F32 without flash attention.

    `cache` names ggml types of keys and of values, which take flash attention.
    """
    library = _library()
    library.llama_log_set(ctypes.cast(_SILENT, ctypes.c_void_p), None)
    library.llama_backend_init()
    model = library.llama_model_load_from_file(
        str(path).encode(), library.llama_model_default_params()
    )
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    options = library.llama_context_default_params()
    defaults = {i: options.words[i] for i in DEFAULTS}
    if defaults != DEFAULTS:
        raise RuntimeError(f"this xllamacpp has other parameters: {defaults}")
    changes = {N_CTX: context, N_BATCH: context, N_UBATCH: context, MAX_OUTPUTS: context}
    changes |= {THREADS: n_threads, THREADS_BATCH: n_threads}
    if exact:
        changes |= {FLASH: 0, TYPE_K: F32, TYPE_V: F32}
    if cache is not None:
        keys, values = (GGML_TYPES[name].number for name in cache)
        changes |= {FLASH: 1, TYPE_K: keys, TYPE_V: values}
    for place, value in changes.items():
        options.words[place] = value
    state = library.llama_init_from_model(model, options)
    if not state:
        raise RuntimeError("llama.cpp cannot make a context")
    running = LlamaCpp(library, model, state, context, n_vocabulary)
    try:
        yield running
    finally:
        library.llama_batch_free(running._batch)
        library.llama_free(state)
        library.llama_model_free(model)
