"""Record how ggml's CPU kernels round activations, for tests/engine/model/test_activations.py.

By hand, with requirements-peers.txt: python -m tests.peers.make_activations
"""

import ctypes

import numpy as np

from tests.peers.llama_cpp import _library
from tests.support.places import GOLDEN

RECORD = GOLDEN / "activations.npz"
BLOCKS = {"q8_0": (32, 34), "q8_K": (256, 292)}  # numbers and bytes of a block


def main() -> None:
    """Round normal, heavy-tailed, sparse and halfway rows to and fro."""
    rng = np.random.default_rng(5)
    halfway = np.arange(512) % 255 - 127 + 0.5
    halfway[::256] = 127
    halfway[::32] = 127
    rows = [rng.standard_normal(512), rng.standard_t(2, 512), halfway, np.zeros(512)]
    rows[1][:64] = 0
    rows = np.float32(rows)
    library, arrays = _library(), {"rows": rows}
    for name, (size, n_bytes) in BLOCKS.items():
        packed = np.empty(rows.size // size * n_bytes, np.uint8)
        restored = np.empty_like(rows)
        there, back = library[f"quantize_row_{name}"], library[f"dequantize_row_{name}"]
        for function in (there, back):
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
            function.restype = None
        there(rows.ctypes.data, packed.ctypes.data, rows.size)
        back(packed.ctypes.data, restored.ctypes.data, rows.size)
        arrays[name.upper()] = restored
    np.savez_compressed(RECORD, **arrays)


if __name__ == "__main__":
    main()
