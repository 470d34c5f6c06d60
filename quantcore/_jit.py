"""The decorators for compiled loops, so their flags are decided in one place."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.compiler import Compiler
from numba.extending import register_jitable

import quantcore._kernel_cache as _kernel_cache  # no more of the package, see `_IMPORTS`

# Numba makes its settings while it is imported, and its decorator takes more flags than it says.
_SETTINGS: Any = numba.config
_njit: Any = numba.njit

# Numba's disk cache notices an edit to a kernel's own file only, but a kernel also holds what it
# calls and every constant that it reads, whichever files those come from. So the kernels of a file
# lie in a folder named after its text and that of all in the package that it imports, directly or
# not: an edit recompiles what could hold it, and nothing else.
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_IMPORTS = re.compile(
    rb"(?m)^[ \t]*(?:from (quantcore[\w.]*) import (\([^)]*\)|.*)|import (quantcore[\w.]*))"
)
_IN_NO_KERNEL = {"quantcore._kernel_cache"}  # what it keeps is the same, however it is written
_VERSIONS = f"numba {numba.__version__}, numpy {np.__version__}"
_STARTED_NS = time.time_ns() - 10**9  # file systems have coarse clocks


@cache
def _files() -> dict[str, list[str]]:
    """Files of each module: its text, and what data lies beside it under its name."""
    files: dict[str, list[str]] = {}
    for folder, inner, names in os.walk(_PACKAGE):
        inner[:] = [name for name in inner if name != "__pycache__"]
        package = "quantcore" + folder[len(_PACKAGE) :].replace(os.sep, ".")
        for name in sorted(names):
            stem = name.partition(".")[0]
            module = package if stem == "__init__" else f"{package}.{stem}"
            files.setdefault(module, []).append(os.path.join(folder, name))
    return files


@cache
def _text_of(module: str, written_ns: tuple[int, ...]) -> tuple[str, list[str]]:
    """Digest of a module's files, written at these times, and the modules that it imports."""
    text = b"".join(Path(path).read_bytes() for path in _files()[module])
    imported = set()
    for package, names, plain in _IMPORTS.findall(text):
        module = (package or plain).decode()
        imported.add(module)
        imported |= {f"{module}.{name.decode()}" for name in re.findall(rb"\w+", names)}
    imported &= _files().keys() - _IN_NO_KERNEL
    return hashlib.sha256(text).hexdigest(), sorted(imported)


def _digest_of(module: str) -> str | None:
    """Digest of all text that kernels of a module can hold something of.

    None where it cannot be told, because a file is gone, or was written since this process began
    and what was imported may be what it held before.
    """
    waiting, texts = [module], {}
    while waiting:
        name = waiting.pop()
        if name in texts:
            continue
        try:
            written_ns = tuple(os.stat(path).st_mtime_ns for path in _files()[name])
        except (OSError, KeyError):
            return None
        if max(written_ns) > _STARTED_NS:
            return None
        texts[name], imported = _text_of(name, written_ns)
        waiting += imported
    lines = [_VERSIONS, *(f"{name} {texts[name]}" for name in sorted(texts))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


# Short loops over one block are unrolled before LLVM's loop vectorizer sees them; its vectorizer
# for straight-line code (SLP), which numba leaves off, then does the work.
_SETTINGS.SLP_VECTORIZE = 1


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
_FLAGS: dict[str, Any] = {"error_model": "numpy", "pipeline_class": _DistinctArguments}
_ONE_AT_A_TIME = threading.Lock()


def _kept(**flags) -> Callable[[Callable], Callable]:
    """Make the decorator of functions that are compiled once for all processes."""
    flags = _FLAGS | flags | {"nogil": True}

    def decorate(function: Callable) -> Callable:
        dispatcher = _njit(**flags)(function)
        if digest := _digest_of(function.__module__):
            with _ONE_AT_A_TIME:  # numba takes the folder from its settings
                name = f"{function.__module__.rpartition('.')[2]}-{digest}"
                _kernel_cache.keep(dispatcher, function, name)
        return dispatcher

    return decorate


kernel = _kept()

# A kernel that makes no arrays itself, so nobody has to count who still uses them: without the
# counting, one with many slices compiles in two thirds of the time and runs a fifth faster.
lean_kernel = _kept(_nrt=False)

# A piece of a kernel, only for kernels to call: compiled into each of them, so LLVM knows the
# constants it is given and the sizes of arrays. The wrappers for Python, and a place in the cache,
# would only make the first use of a kernel slower. It returns numbers: arrays are not counted.
inlined = _njit(
    **_FLAGS, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)

# A piece that Python can call too, with numpy arrays where a kernel has numbers.
also_python = register_jitable(**_FLAGS, forceinline=True, _nrt=False)

# A thin layer around such pieces: its lines are put in the caller's place before anything is
# compiled, for LLVM works on each piece once by itself and once more inside each of its callers.
pasted = _njit(**_FLAGS, inline="always")
