"""How fast the file of a 70B model opens: ``python -m benchmarks.header``.

Writes a sparse file with the header of a Llama of 80 layers (723 tensors, 128,256 tokens, 280,147
merges; the words are made up, as long as real ones) and times the header alone, the whole model
with its tokenizer, and, where gguf is there, its reader on the same file.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from quantcore import open_model
from quantcore.io.gguf import read_gguf
from quantcore.io.gguf_writer import OutgoingTensor, Value, data_bytes, header_of
from quantcore.model.config import read_config
from quantcore.model.gguf_config import metadata_of
from quantcore.recipe.contents import contents_of
from quantcore.recipe.plan import plan

N_WORDS, N_SPECIAL, N_MERGES = 128_000, 256, 280_147
CONFIG = {
    "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
    "vocab_size": N_WORDS + N_SPECIAL, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0, "tie_word_embeddings": False,
}  # fmt: skip


def main() -> None:
    """Print the median of several runs, in seconds and beside gguf."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "70b-Q4_K_M.gguf"
        write(path)
        rows = {"header": median(lambda: read_gguf(path), runs)}
        rows["model, with its tokenizer"] = median(lambda: open_model(path), runs)
        if importlib.util.find_spec("gguf"):
            import gguf

            rows["header, gguf’s reader"] = median(lambda: gguf.GGUFReader(path), 1)
    print("| 70B, Q4_K_M | seconds |\n|---|---:|")
    for name, seconds in rows.items():
        print(f"| {name} | {seconds:.2f} |")


def median(work: Callable[[], object], runs: int) -> float:
    """Seconds of the middle run."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def write(path: Path) -> None:
    """Write the header, and a hole in the place of the weights."""
    config = read_config(CONFIG)
    planned = plan(contents_of(config), "Q4_K_M")
    tensors = [OutgoingTensor(t.name, t.type, t.shape, bytes) for t in planned.tensors]
    header = header_of(metadata_of(config, "made up", 15) | vocabulary(), tensors)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes(tensors))


def vocabulary() -> dict[str, Value]:
    """Make up words of two shorter ones each, and the merges that make them."""
    rng = np.random.default_rng(0)
    words = sorted(ByteLevel.alphabet())
    known = set(words)
    while len(words) < N_WORDS:
        left, right = (words[place] for place in rng.integers(min(len(words), 5000), size=2))
        if len(left + right) < 12 and left + right not in known:
            words.append(left + right)
            known.add(left + right)
    pairs = [
        f"{word[:cut]} {word[cut:]}"
        for word in words
        for cut in range(1, len(word))
        if word[:cut] in known and word[cut:] in known
    ]
    pairs = (pairs * -(-N_MERGES // len(pairs)))[:N_MERGES]  # twice the same costs as much
    special = [f"<|reserved_special_token_{i}|>" for i in range(N_SPECIAL)]
    kinds = np.array([1] * N_WORDS + [3] * N_SPECIAL, np.int32)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": [*words, *special],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": pairs,
        "tokenizer.ggml.bos_token_id": np.uint32(N_WORDS),
    }


if __name__ == "__main__":
    main()
