"""Which files under `tests` hold no tests, and where the lab keeps results meanwhile."""

import os
import tempfile

# Doctests are looked for in every module, but these need packages that only `make peers` installs.
collect_ignore_glob = ["peers/[!t]*.py"]

# What the person at this machine has measured is neither shown nor added to.
_KEPT = tempfile.TemporaryDirectory(prefix="quantlab-tests-", ignore_cleanup_errors=True)
os.environ["QUANTLAB_RESULTS"] = _KEPT.name
