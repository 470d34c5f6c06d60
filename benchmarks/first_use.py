"""What a user waits for the first time: ``python -m benchmarks.first_use``.

Prints a Markdown table of seconds. Each figure comes from a fresh process with one format: first
with an empty cache, which compiles, then again, which loads from disk; encoding with an importance
matrix has a process of its own. Only the first call in a process counts Numba's own start, so the
columns of encoding include it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from quantcore.formats import DEFAULTS, FORMATS, get_format

WORK = """
import json, sys, time
import numpy as np
from quantcore.formats import get_format
fmt = get_format(sys.argv[1])
weights = np.linspace(-1, 1, 512, dtype=np.float32).reshape(1, 512)
matrix = [np.ones(512, np.float32)] if sys.argv[2] else []
start = time.perf_counter()
packed = fmt.quantize(weights, *matrix)
middle = time.perf_counter()
fmt.dequantize(packed)
print(json.dumps([middle - start, time.perf_counter() - middle]))
"""
HEAD = """\
| format | compile: encode | imatrix | decode | load: encode | imatrix | decode |
|---|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Measure the formats that are named, or all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=[*FORMATS, DEFAULTS[-1]])
    print(HEAD)
    for name in parser.parse_args().formats:
        fmt = get_format(name)
        alone = None if fmt.needs_importance else first_calls(name, "")
        weighted = first_calls(name, "imatrix") if fmt.uses_importance else None
        cells = [name]
        for again in range(2):  # compiled, then loaded
            encode, with_it = (
                f"{calls[again][0]:.2f}" if calls else "–" for calls in (alone, weighted)
            )
            cells += [encode, with_it, f"{(alone or weighted)[again][1]:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def first_calls(name: str, matrix: str) -> list[list[float]]:
    """Seconds of the first encoding and decoding in a new process, compiled, then loaded."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", WORK, name, matrix]
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        return [
            json.loads(subprocess.check_output(command, env=environment, text=True))
            for _ in range(2)
        ]


if __name__ == "__main__":
    main()
