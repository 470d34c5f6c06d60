"""How many threads matrix products take: one each, because the lab shares out rows itself.

With other work on the machine, two OpenBLAS threads wait for each other and a small forward pass
takes twenty times as long; rows in the shared pool lose nothing and scale the same.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import OpenBLASController, ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limit: Any = None  # what gives the threads back


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries: 1.4 ms


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS to one thread; the last of several threads inside gives the others back."""
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _take_control()
            _limit = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _take_control()
                _limit.restore_original_limits()


def _take_control() -> None:
    # Since 3.7 threadpoolctl listens to the first thread that ever set a limit, and does nothing
    # for all others while it lives. Our count already keeps threads out of each other's way.
    OpenBLASController.clear_controlling_thread(force=True)
