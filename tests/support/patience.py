"""How long tests wait for what must happen, on however slow a machine.

A test waits for a state, never for a time to pass. The one limit here is far above what a busy
machine takes, and below that of a whole test (pyproject.toml), so that a failure says what did not
come.
"""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 300.0
Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer]) -> Answer:
    """Ask again and again until the answer is yes, and return it; fail where it never is."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s"
        time.sleep(0.02)
    return answer
