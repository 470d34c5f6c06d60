"""The decorators for compiled loops, so their flags are decided in one place."""

import hashlib
import os
import tempfile
from pathlib import Path

import numba
from numba.core.compiler import Compiler
from numba.extending import register_jitable

# Numba's disk cache does not notice an edit to a callee in another file, so the cache folder is
# named after the text of every file that holds kernels.
_HERE = Path(__file__).parent
_IMPORT = "from quantcore._jit"
_KERNEL_FILES = sorted(p for p in _HERE.rglob("*.py") if _IMPORT in p.read_text(encoding="utf-8"))
_DIGEST = hashlib.sha256(b"".join(p.read_bytes() for p in _KERNEL_FILES)).hexdigest()[:12]


def _writable_cache() -> Path:
    """Make a folder in the user's cache; where that cannot be, one for this process only."""
    try:
        folder = Path.home() / ".cache" / "quantcore" / _DIGEST
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # a read-only disk, a user without a home
        pass
    return Path(tempfile.mkdtemp(prefix="quantcore-"))


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_writable_cache())

# Short loops over one block are unrolled before LLVM's loop vectorizer sees them; its vectorizer
# for straight-line code (SLP), which numba leaves off, then does the work.
numba.config.SLP_VECTORIZE = 1


class _DistinctArguments(Compiler):
    """Tells LLVM that a kernel's arrays do not overlap; without it, nothing is vectorized.

    So never give a kernel the same memory twice where it writes there.
    """

    def define_pipelines(self):
        self.state.flags.noalias = True
        return super().define_pipelines()


# No fastmath: results must match ggml bit for bit.
# No parallel: Streamlit runs each session in its own thread, and Numba's workqueue layer aborts the
# process when two threads enter it. Rows are shared out by `quantcore.pool` instead.
_FLAGS = {"error_model": "numpy", "pipeline_class": _DistinctArguments}
kernel = numba.njit(**_FLAGS, cache=True, nogil=True)

# A kernel that makes no arrays itself, so nobody has to count who still uses them: without the
# counting, one with many slices compiles in two thirds of the time and runs a fifth faster.
lean_kernel = numba.njit(**_FLAGS, cache=True, nogil=True, _nrt=False)

# A piece of a kernel, only for kernels to call: compiled into each of them, so LLVM knows the
# constants it is given and the sizes of arrays. The wrappers for Python, and a place in the cache,
# would only make the first use of a kernel slower. It returns numbers: arrays are not counted.
inlined = numba.njit(
    **_FLAGS, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)

# A piece that Python can call too, with numpy arrays where a kernel has numbers.
also_python = register_jitable(**_FLAGS, forceinline=True, _nrt=False)

# A thin layer around such pieces: its lines are put in the caller's place before anything is
# compiled, for LLVM works on each piece once by itself and once more inside each of its callers.
pasted = numba.njit(**_FLAGS, inline="always")


def cache_folder() -> Path:
    """Where compiled kernels are kept between starts."""
    return Path(numba.config.CACHE_DIR)
