"""Rebuild tests/golden/gptq.npz: ``python -m tests.peers.make_methods FOLDER``.

What the authors' GPTQ makes of a small layer; FOLDER holds their gptq.py and quant.py, see
`tests.peers.gptq_original`. Needs torch, of requirements-peers.txt.
"""

import sys
from pathlib import Path

import numpy as np

from tests.peers import gptq_original
from tests.support.layers import random_layer
from tests.support.places import GOLDEN

FILE = GOLDEN / "gptq.npz"
CASES = {  # bits, and settings of `fasterquant`
    "row 4": (4, {"groupsize": -1, "blocksize": 64}),
    "row 3 act": (3, {"groupsize": -1, "actorder": True}),
    "group 4": (4, {"groupsize": 32, "blocksize": 32}),
    "group 2": (2, {"groupsize": 64, "blocksize": 64}),
    "group 4 act": (4, {"groupsize": 32, "actorder": True, "static_groups": True}),
}


def main(folder: Path) -> None:
    """Write the file: weights and inputs as small integers, and what each case restores."""
    weights, rows = random_layer(32, 128, seed=12, n_tokens=200)
    whole_weights = np.clip(np.rint(weights * 400), -127, 127).astype(np.int8)
    whole_rows = np.clip(np.rint(rows * 16), -127, 127).astype(np.int8)
    weights, rows = whole_weights.astype(np.float32) / 512, whole_rows.astype(np.float32) / 16
    moment = 2 * (rows.T @ rows).astype(np.float64) / len(rows)
    arrays = {
        f"restored/{case}": gptq_original.run(folder, weights, moment, bits, **settings)
        for case, (bits, settings) in CASES.items()
    }
    np.savez_compressed(FILE, weights=whole_weights, rows=whole_rows, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
