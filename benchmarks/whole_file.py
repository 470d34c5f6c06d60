"""A whole file quantized, beside llama-quantize: ``python -m benchmarks.whole_file [FOLDER]``.

Both make a Q4_K_M file of the same F16 GGUF, random weights in the shape of a 124 M Llama, with two
threads each; rounds alternate, and the ratio is the median over rounds, above 1 where quantcore is
faster. Then quantcore with two threads against quantcore with one: in seconds of the core that
works longest, as other work on the machine may hold the other one. FOLDER holds llama-quantize, as
built from PyPI's llama-cpp-python source package in about ten minutes:

    pip download llama-cpp-python==0.3.36 --no-deps --no-binary :all: && tar xzf llama_cpp_python*
    cmake -S llama_cpp_python*/vendor/llama.cpp -B peer -DGGML_NATIVE=ON -DLLAMA_CURL=OFF
    cmake --build peer --target llama-quantize && python -m benchmarks.whole_file peer/bin
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from quantcore import open_model, plan
from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes
from quantcore.model.source import Model
from quantcore.pool import threads
from quantcore.recipe.quantize import quantize
from tests.peers import gguf_file

TYPE = "Q4_K_M"
ROUNDS = 5
SHAPE = LlamaConfig(
    model_type="llama",
    n_layers=12,
    hidden_size=768,
    feed_forward_size=2048,
    n_heads=12,
    n_kv_heads=12,
    head_size=64,
    vocabulary_size=25_600,
    context_length=2048,
    norm_epsilon=1e-5,
    tied_embedding=False,
)


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="holds llama-quantize")
    options = parser.parse_args()
    peer = shutil.which("llama-quantize", path=options.folder)
    with tempfile.TemporaryDirectory() as name:
        original = write_original(Path(name))
        model = open_model(original)
        print(f"{model.n_weights / 1e6:,.0f} million weights, F16 to {TYPE}")
        made = Path(name) / "made.gguf"
        if peer is None:
            print("llama-quantize is not here: name the folder that holds it")
        else:
            command = [peer, str(original), str(made), TYPE, "2"]
            peers = lambda: subprocess.run(command, check=True, capture_output=True)  # noqa: E731
            compare("llama-quantize", made, time.perf_counter, peers, lambda: ours(model, made, 2))
        one, two = (lambda n=n: ours(model, made, n) for n in (1, 2))
        compare("one thread", made, time.thread_time, one, two)


def write_original(folder: Path) -> Path:
    """Write the F16 file."""
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_t(4, shape) * 0.02).astype(np.float32)
        for name, shape in expected_shapes(SHAPE).items()
    }
    gguf_file.write(folder / "f32.gguf", SHAPE, weights)
    model = open_model(folder / "f32.gguf")
    quantize(model, plan(model, "F16"), folder / "f16.gguf")
    (folder / "f32.gguf").unlink()
    return folder / "f16.gguf"


def ours(model: Model, path: Path, n_threads: int) -> None:
    """Quantize with the lab."""
    with threads(n_threads):
        quantize(model, plan(model, TYPE), path)


def compare(what: str, made: Path, clock: Callable, theirs: Callable, mine: Callable) -> None:
    """Alternate both, and print medians and their ratio."""
    rounds = []
    for i in range(ROUNDS + 1):
        pair = []
        for work in (theirs, mine):
            start = clock()
            work()
            pair.append(clock() - start)
            made.unlink()
        if i:  # the first round compiles and warms
            rounds.append(pair)
    their, our = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"{what:<16}{their:6.2f} s   quantcore, two threads {our:6.2f} s   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
