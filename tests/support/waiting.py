"""Wait for what must come: as long as the slowest machine needs, and no longer than it takes."""

import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

PATIENCE_S = 300.0  # only a test that fails waits so long


def until(condition: Callable[[], bool]) -> None:
    """Look again and again; AssertionError where the condition never holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S:.0f} s"
        time.sleep(0.005)


def run_until_ended(app: AppTest) -> AppTest:
    """Run a page again and again until its job has ended and its panel has been drawn a last time.

    What the page shows then is what that panel says of the end.
    """

    def ended() -> bool:
        if "_job" in app.session_state:
            app.run()
        return "_job" not in app.session_state

    until(ended)
    return app
