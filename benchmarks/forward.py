"""Tokens a second of the forward pass beside llama.cpp's, F32, same shapes, same run.

    python -m benchmarks.forward

Needs requirements-peers.txt. Both run chunks of 512 tokens as llama-perplexity does: attention to
the chunk alone, logits for its second half. Rounds alternate, so that a busy machine slows both;
the ratio is the median over rounds. llama.cpp keeps its defaults (flash attention, F16 cache).
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from quantcore import Llama
from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes
from quantcore.pool import n_threads
from tests.peers import gguf_file, llama_cpp

CONTEXT = 512
CHUNKS_AT_ONCE = 2
SHIPPED = LlamaConfig(
    model_type="llama",
    n_layers=8,
    hidden_size=256,
    feed_forward_size=768,
    n_heads=4,
    n_kv_heads=2,
    head_size=64,
    vocabulary_size=2048,
    context_length=512,
    norm_epsilon=1e-5,
    tied_embedding=True,
)
SMOLLM2_135M = LlamaConfig(
    model_type="llama",
    n_layers=30,
    hidden_size=576,
    feed_forward_size=1536,
    n_heads=9,
    n_kv_heads=3,
    head_size=64,
    vocabulary_size=49152,
    context_length=8192,
    norm_epsilon=1e-5,
    rope_theta=100_000.0,
    tied_embedding=True,
)


def main() -> None:
    """Print a line a shape."""
    print(f"{n_threads()} threads, context {CONTEXT}, F32, tokens a second")
    print(f"{'shape':<16}{'quantcore':>11}{'llama.cpp':>11}{'ratio':>8}")
    for name, config, n_chunks, rounds in (
        ("shipped, 7 M", SHIPPED, 8, 9),
        ("135 M", SMOLLM2_135M, 2, 7),
    ):
        ours, theirs, ratio = measure(config, n_chunks, rounds)
        print(f"{name:<16}{ours:>11,.0f}{theirs:>11,.0f}{ratio:>8.2f}", flush=True)


def measure(config: LlamaConfig, n_chunks: int, rounds: int) -> tuple[float, float, float]:
    """Tokens a second of both, medians, and the median ratio, for random weights."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(shape, np.float32) * np.float32(0.05)
        for name, shape in expected_shapes(config).items()
    }
    tokens = rng.integers(3, config.vocabulary_size, (n_chunks, CONTEXT))
    llama = Llama(config, weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f32.gguf"
        gguf_file.write(path, config, weights)
        del weights
        with llama_cpp.opened(path, config.vocabulary_size, CONTEXT, n_threads()) as peer:
            ours, theirs = [], []
            for i in range(rounds + 1):
                pair = (
                    _seconds(lambda: _ours(llama, tokens)),
                    _seconds(lambda: _theirs(peer, tokens)),
                )
                if i:  # the first round compiles and warms
                    ours.append(tokens.size / pair[0])
                    theirs.append(tokens.size / pair[1])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def _ours(llama: Llama, tokens: np.ndarray) -> None:
    for first in range(0, len(tokens), CHUNKS_AT_ONCE):
        for states in llama.hidden(tokens[first : first + CHUNKS_AT_ONCE]):
            llama.output(states[CONTEXT // 2 :])


def _theirs(peer: llama_cpp.LlamaCpp, tokens: np.ndarray) -> None:
    for chunk in tokens:
        peer.logits(chunk, CONTEXT // 2)


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
