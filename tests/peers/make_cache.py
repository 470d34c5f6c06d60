"""Record how llama.cpp rounds what it writes into its cache, and what that does to logits.

By hand, with requirements-peers.txt: python -m tests.peers.make_cache
"""

import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np

from quantcore.formats import FORMATS
from tests.peers import gguf_file, llama_cpp
from tests.support import cache_model
from tests.support.places import GOLDEN

RECORD = GOLDEN / "cache.npz"
BLOCKS = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")


def main() -> None:
    """Round rows by ggml's CPU functions, and run a random model with every pair of types."""
    arrays = {"rows": rows()}
    for name in BLOCKS:
        arrays[f"restored/{name}"] = restored(name, arrays["rows"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f32.gguf"
        gguf_file.write(path, cache_model.CONFIG, cache_model.weights())
        for rotation in (True, False):
            for pair in cache_model.PAIRS:
                arrays[cache_model.key(pair, rotation)] = logits(path, pair, rotation)
    np.savez_compressed(RECORD, **arrays)


def rows() -> np.ndarray:
    """Make normal, heavy-tailed, halfway, small and empty rows."""
    rng = np.random.default_rng(5)
    normal, heavy = rng.standard_normal((2, 512)), rng.standard_t(2, (2, 512))
    halves = np.round(2 * rng.standard_normal((2, 512))) / 2
    halves[0, ::32] = 127
    return np.float32([*normal, *heavy, *halves, 1e-4 * normal[0], np.zeros(512)])


def restored(name: str, rows: np.ndarray) -> np.ndarray:
    """Restore what `from_float` of ggml-cpu.c wrote of rows."""
    library = llama_cpp._library()
    packed = np.empty(FORMATS[name].stored_bytes(rows.shape), np.uint8)
    out = np.empty_like(rows)
    for verb, given, filled in (("quantize", rows, packed), ("dequantize", packed, out)):
        function = library[f"{verb}_row_{name.lower()}"]
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        function.restype = None
        function(given.ctypes.data, filled.ctypes.data, rows.size)
    return out


def logits(path: Path, pair: tuple[str, str], rotation: bool) -> np.ndarray:
    """Logits of the last tokens with keys and values in a pair of types."""
    os.environ["LLAMA_ATTN_ROT_DISABLE"] = "0" if rotation else "1"  # read with each new context
    n_vocabulary = cache_model.CONFIG.vocabulary_size
    with llama_cpp.opened(path, n_vocabulary, context=128, cache=pair) as peer:
        return peer.logits(cache_model.TOKENS, len(cache_model.TOKENS) - cache_model.N_KEPT)


if __name__ == "__main__":
    main()
