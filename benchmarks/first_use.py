"""What a user waits for the first time: ``python -m benchmarks.first_use``.

Prints a Markdown table of seconds. Each figure comes from a fresh process with one format: first
with an empty cache, which compiles, then again, which loads from disk. Only the first call in a
process counts Numba's own start, so the column of encoding includes it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from quantcore.formats import DEFAULTS, FORMATS

WORK = """
import json, sys, time
import numpy as np
from quantcore.formats import get_format
fmt = get_format(sys.argv[1])
weights = np.linspace(-1, 1, 512, dtype=np.float32).reshape(1, 512)
start = time.perf_counter()
packed = fmt.quantize(weights)
middle = time.perf_counter()
fmt.dequantize(packed)
print(json.dumps([middle - start, time.perf_counter() - middle]))
"""


def main() -> None:
    """Measure the formats that are named, or all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=[*FORMATS, DEFAULTS[-1]])
    print("| format | compile encode | compile decode | load encode | load decode |")
    print("|---|---:|---:|---:|---:|")
    for name in parser.parse_args().formats:
        with tempfile.TemporaryDirectory() as cache:
            cells = [f"{seconds:.2f}" for _ in range(2) for seconds in first_calls(name, cache)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def first_calls(name: str, cache: str) -> list[float]:
    """Seconds of the first encoding and decoding in a new process."""
    command = [sys.executable, "-c", WORK, name]
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
