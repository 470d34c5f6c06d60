"""Tokens that llama.cpp makes of a hard text: ``python -m tests.peers.make_cuts``.

A vocabulary of pairs merged across every boundary, so that each name in tokenizer.ggml.pre gives
other tokens. Writes tests/golden/cuts.json: merges, texts, and the tokens of each text by name.
"""

import ctypes
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from quantcore.io.gguf_writer import OutgoingTensor, write_gguf
from quantcore.model.pre_tokenizers import FAMILY
from tests.peers import llama_cpp
from tests.support.places import GOLDEN

TEXTS = (
    "Hello world, it's 12345 o'clock: don't pay 3.50 € (or $1,234,567.89)!\n",
    "  leading   spaces\t\ttabs \n\n\n three lines\r\nWindows \n  indented\n",
    "camelCase HTTPServer iPhone ÀÉÎ straße ΑΒΓ Δέλτα Привет МИР",
    "I'LL WE'VE he's they'd 'tis rock'n'roll x='y' \"quoted\" `code` ~a^b|c~ <=> +=",
    "日本語のテキスト、漢字とカナ。中文，测试！한국어 문장입니다.",
    "हिन्दी वाक्य। ไทย العربية ١٢٣ ²³½ Ⅻ 🚀🎉 ﬁn ᏣᎳᎩ ა",
    "def f(x): return x[0]/2 # comment\n    a_b += 100000 // 7; /path/to/file.txt\n",
    "end with spaces   ",
    "x9y10z100 2024 12 34 56 1000000\n\n!!\n ,,\n;\n x//\n/",
    "ünïcode—dash…ellipsis “curly” ‘single’ «guillemets» 1st 2nd A1B2C3 x² 007",
)
N_MERGES = 900


def merges() -> tuple[list[str], list[str]]:
    """Tokens and merges of pairs, learned without any cut."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + N_MERGES,
        initial_alphabet=alphabet,
        max_token_length=8,
        show_progress=False,
    )
    windows = [text[i : i + 2] for text in TEXTS for i in range(len(text) - 1)]
    tokenizer.train_from_iterator([*TEXTS, *windows], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(m) for m in model["merges"]]


def write(path: Path, name: str, tokens: list[str], pairs: list[str]) -> None:
    """Write a model of one small layer with this vocabulary."""
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": 32,
             "feed_forward_length": 32, "attention.head_count": 1, "attention.head_count_kv": 1,
             "rope.dimension_count": 32}  # fmt: skip
    metadata = {"general.architecture": "llama"}
    metadata |= {f"llama.{key}": np.uint32(size) for key, size in sizes.items()}
    metadata |= {
        "llama.attention.layer_norm_rms_epsilon": np.float32(1e-5),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": [*tokens, "<s>", "</s>"],
        "tokenizer.ggml.token_type": np.array([1] * len(tokens) + [3, 3], np.int32),
        "tokenizer.ggml.merges": pairs,
        "tokenizer.ggml.bos_token_id": np.uint32(len(tokens)),
        "tokenizer.ggml.eos_token_id": np.uint32(len(tokens) + 1),
    }
    roles = "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down"
    shapes = {f"blk.0.{role}": (32, 32) for role in roles.split()}
    shapes |= dict.fromkeys(("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"), (32,))
    shapes["token_embd"] = (len(tokens) + 2, 32)
    tensors = [
        OutgoingTensor(f"{role}.weight", "F32", shape, partial(_ones, shape))
        for role, shape in shapes.items()
    ]
    for _ in write_gguf(path, metadata, tensors):
        pass


def _ones(shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, "<f4").view(np.uint8)


def tokens_of(path: Path) -> tuple[bool, list[list[int]]]:
    """Ask llama.cpp whether it opens texts, and for the tokens of each."""
    library = llama_cpp._library()
    library.llama_log_set(ctypes.cast(llama_cpp._SILENT, ctypes.c_void_p), None)
    pointer = ctypes.c_void_p
    library.llama_model_get_vocab.restype, library.llama_model_get_vocab.argtypes = (
        pointer,
        [pointer],
    )
    library.llama_vocab_get_add_bos.restype = ctypes.c_bool
    library.llama_vocab_get_add_bos.argtypes = [pointer]
    integers = ctypes.POINTER(ctypes.c_int32)
    library.llama_tokenize.argtypes = [
        *(pointer, ctypes.c_char_p, ctypes.c_int32, integers),
        *(ctypes.c_int32, ctypes.c_bool, ctypes.c_bool),
    ]
    model = library.llama_model_load_from_file(
        str(path).encode(), library.llama_model_default_params()
    )
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    vocabulary, tokens = library.llama_model_get_vocab(model), []
    for text in TEXTS:
        raw, room = text.encode(), (ctypes.c_int32 * 1000)()
        n = library.llama_tokenize(vocabulary, raw, len(raw), room, 1000, False, False)
        tokens.append(list(room[:n]))
    adds = library.llama_vocab_get_add_bos(vocabulary)
    library.llama_model_free(model)
    return adds, tokens


def main() -> None:
    """Write the golden file."""
    tokens, pairs = merges()
    by_name: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILY:
            path = Path(folder) / f"{name}.gguf"
            write(path, name, tokens, pairs)
            try:
                adds, by_text = tokens_of(path)
            except RuntimeError:
                print(f"{name}: llama.cpp does not know it")
                continue
            by_name[name] = {"adds_bos": adds, "tokens": by_text}
    golden = {"tokens": tokens, "merges": pairs, "texts": TEXTS, "by_name": by_name}
    place = GOLDEN / "cuts.json"
    place.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{place.name}: {len(by_name)} names")


if __name__ == "__main__":
    main()
