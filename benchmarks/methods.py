"""GPTQ beside its authors' code on CPU torch: ``python -m benchmarks.methods FOLDER``.

One layer of 4096 x 4096, its second moment given, four bits in groups of 128 with zero points, both
on two threads, in turn, twice; the authors' gptq.py and quant.py lie in FOLDER, see
`tests.peers.gptq_original`. Then every method of the lab on every matrix of the shipped model.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from quantcore import get_format, open_model, pool
from quantcore.evaluate.text import calibration_text, cut
from quantcore.methods import METHODS
from quantcore.methods.gptq import Gptq
from quantcore.methods.method import LayerInputs
from quantcore.methods.whole_model import choose_all
from tests.peers import gptq_original

N, N_THREADS = 4096, 2
WHOLE = "INT4_G64_ASYM"


def main(folder: Path) -> None:
    """Print a line for the layer, and one for each method."""
    torch.set_num_threads(N_THREADS)
    with pool.threads(N_THREADS):
        one_layer(folder)
        whole_model()


def one_layer(folder: Path) -> None:
    """Time both on the same layer; the error of outputs must be the same too."""
    rng = np.random.default_rng(0)
    weights = (rng.standard_normal((N, N), np.float32) * np.float32(0.02)).astype(np.float32)
    rows = rng.standard_normal((N + 512, N), np.float32)
    rows *= rng.lognormal(0, 0.7, N).astype(np.float32)
    rows[:, 1:] += rows[:, :-1] / 2
    moment = (rows.T @ rows).astype(np.float64) / len(rows)
    squares = np.diagonal(moment).astype(np.float32)
    inputs = LayerInputs(
        n_tokens=len(rows),
        mean_square=squares,
        mean_abs=np.sqrt(squares),
        largest=np.sqrt(squares),
        second_moment=moment,
    )
    fmt, method = get_format("INT4_G128_ASYM"), Gptq(order="natural")
    method.choose(weights[:64], fmt, inputs)  # compiles
    seconds: dict[str, list[float]] = {"quantcore": [], "torch": []}
    restored = {}
    for _ in range(2):
        start = time.perf_counter()
        restored["quantcore"] = method.choose(weights, fmt, inputs).restored
        seconds["quantcore"].append(time.perf_counter() - start)
        start = time.perf_counter()
        restored["torch"] = gptq_original.run(folder, weights, 2 * moment, 4, groupsize=128)
        seconds["torch"].append(time.perf_counter() - start)
    ours, theirs = min(seconds["quantcore"]), min(seconds["torch"])
    errors = {who: output_error(weights, each, moment) for who, each in restored.items()}
    print(
        f"GPTQ {N} x {N}: {ours:.1f} s, torch {theirs:.1f} s, ratio {theirs / ours:.2f}; error of "
        f"outputs {errors['quantcore']:.5f}, torch {errors['torch']:.5f}",
        flush=True,
    )


def output_error(weights: np.ndarray, restored: np.ndarray, moment: np.ndarray) -> float:
    """Relative root mean square of what outputs miss."""
    error, wide = (restored - weights).astype(np.float32), moment.astype(np.float32)
    return float(np.sqrt(np.vdot(error @ wide, error) / np.vdot(weights @ wide, weights)))


def whole_model() -> None:
    """Time every method on all matrices of the shipped model and its calibration text."""
    model = open_model()
    tokens = cut(model, calibration_text(), 512).inputs
    formats = dict.fromkeys(model.quantizable, get_format(WHOLE))
    for name, method in METHODS.items():
        start = time.perf_counter()
        choose_all(model, method, formats, tokens)
        seconds = time.perf_counter() - start
        print(f"{name}: {seconds:.1f} s for {model.name} in {WHOLE}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
