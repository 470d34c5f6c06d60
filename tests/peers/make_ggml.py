"""Rebuild tests/golden/ggml.npz: ``python -m tests.peers.make_ggml``, with requirements-peers.txt.

The weights `x/<case>` of the twelve ordinary cases and the importance matrix are kept as they are
in the file; bytes, and what gguf restores from them, are made anew. Those of the IQ1 to IQ3 formats
are kept: ggml aborts on some of the edges there, and an older library stores some of IQ1_M
differently.
"""

import hashlib
import re

import gguf
import numpy as np
from tests.edge_cases import edge_rows

from benchmarks import ggml
from quantcore import FORMATS
from tests.support.places import GOLDEN

KEPT = re.compile(r"(restored/)?IQ[123]_")
FILE = GOLDEN / "ggml.npz"


def main() -> None:
    """Write the file in place."""
    with np.load(FILE) as golden:
        arrays = {name: golden[name] for name in golden.files if name.startswith("x/")}
        arrays["imatrix"] = golden["imatrix"]
        arrays |= {name: golden[name] for name in golden.files if KEPT.match(name)}
    arrays["x/edges"] = np.stack(list(edge_rows().values()))
    for name in [name for name in ggml.TYPES if not KEPT.match(name)]:
        restored = hashlib.sha256()
        for case in [key.removeprefix("x/") for key in list(arrays) if key.startswith("x/")]:
            packed = arrays[f"{name}/{case}"] = ggml.quantize(name, arrays[f"x/{case}"])
            if case != "edges" and FORMATS[name].uses_importance:
                weighted = ggml.quantize(name, arrays[f"x/{case}"], arrays["imatrix"])
                arrays[f"{name}/{case}/imatrix"] = weighted
            if case != "edges":  # NaN has many bit patterns there
                kind = gguf.GGMLQuantizationType[name]
                restored.update(gguf.quants.dequantize(packed, kind).astype("<f4").tobytes())
        arrays[f"restored/{name}"] = np.array(restored.hexdigest())
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
