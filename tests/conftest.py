"""Where the lab keeps results meanwhile, what waits for `make peers`, and keys for a child."""

import atexit
import os
import signal
import tempfile

import pytest

# What the person at this machine has measured is neither shown nor added to.
_KEPT = tempfile.TemporaryDirectory(prefix="quantlab-tests-", ignore_cleanup_errors=True)
atexit.register(_KEPT.cleanup)
os.environ["QUANTLAB_RESULTS"] = _KEPT.name

# Doctests are looked for in every module, but these need packages that only `make peers` installs.
collect_ignore_glob = ["peers/[!t]*.py"]
_USUAL = "not peers"


@pytest.fixture
def keys_are_heard():
    """Set a handler: a child would inherit that SIGINT is ignored, as in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_ignore_collect(collection_path, config):
    """Leave tests of peers alone unless they are asked for: their imports are not there."""
    is_peers = collection_path.name == "peers" and collection_path.is_dir()
    return True if is_peers and config.option.markexpr == _USUAL else None


def pytest_terminal_summary(terminalreporter, config):
    """Say what was not run, and why."""
    if config.option.markexpr == _USUAL:
        terminalreporter.write_line(
            "Not run: tests/peers, which compares with ggml, llama.cpp and others; `make peers` "
            "installs these and does."
        )
