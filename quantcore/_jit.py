"""The one decorator for compiled loops, so their flags are decided in one place."""

import hashlib
import os
from pathlib import Path

import numba

# Numba's disk cache does not notice an edit to a callee in another file, so the cache folder is
# named after the text of every file that holds kernels.
_HERE = Path(__file__).parent
_KERNEL_FILES = sorted(p for p in _HERE.rglob("*.py") if "@kernel" in p.read_text(encoding="utf-8"))
_DIGEST = hashlib.sha256(b"".join(p.read_bytes() for p in _KERNEL_FILES)).hexdigest()[:12]

if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(Path.home() / ".cache" / "quantcore" / _DIGEST)

# No fastmath: results must match ggml bit for bit.
# No parallel: Streamlit runs each session in its own thread, and Numba's workqueue layer aborts the
# process when two threads enter it. Rows are shared out by `quantcore.pool` instead.
kernel = numba.njit(cache=True, nogil=True, error_model="numpy")


def cache_folder() -> Path:
    """Where compiled kernels are kept between starts."""
    return Path(numba.config.CACHE_DIR)
