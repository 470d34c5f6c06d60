"""Small model folders made up at random: config x tokenizer x dtype x layout, by a seed.

What transformers would run is written as the world writes it: keys left out, older spellings, an
output beside a tied embedding, shards, tokenizers of several kinds. Some of it the lab refuses.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from quantcore.model.pre_tokenizers import PRE_TOKENIZERS, TAKES_WHOLE_WORDS
from tests.support.toy_model import write_safetensors

KINDS = ("llama", "mistral", "qwen2", "qwen3")
# What transformers' classes fill in where config.json is silent (configuration_*.py, 5.23).
_KV_HEADS = {"mistral": 8, "qwen2": 32, "qwen3": 32}
SPACE = "▁"
TRAINED_ON = [
    "The cook counted 123456 apples, and the host didn't pay: it's 2026!\r\n\tOnce more the",
    "def main(self):\n    return [1, 22, 333]  # naïve café, Straße, 東京都 서울 Москва дом",
] * 3
TEXT = (
    "The cook of Zürich paid 1234567 coins;  the host's\tdog didn't...\n\n  Once upon THE time, "
    "HelloWorld, 東京 and Москва cost €99.50!\r\n    return x[12] == 'é' # don't 🚀\n the end "
)
DECOMPOSED = "e\u0301te\u0301 nai\u0308ve कि"  # marks of their own


@dataclass(frozen=True)
class RandomModel:
    """What was written: the config as it stands in config.json, and what is not in it."""

    folder: Path
    config: dict
    tokenizer: str  # its kind
    dtype: str
    layout: str
    n_tokens: int  # of the tokenizer; the model may have more

    def __str__(self) -> str:
        said = {k: v for k, v in self.config.items() if k not in ("architectures",)}
        return f"{self.tokenizer}, {self.dtype}, {self.layout}: {json.dumps(said)}"


def write_random(folder: Path, seed: int) -> RandomModel:
    """Make up a model; the same seed gives the same bytes."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    kind = chance.choice(KINDS)
    cut, n_tokens = _write_tokenizer(folder, kind, chance)
    config = _config(kind, n_tokens + chance.choice((0, 0, 3, 32)), chance)
    dtype = chance.choice(("F32", "F16", "BF16"))
    layout = chance.choice(["one file"] * 12 + ["shards"] * 7 + ["shards without an index"])
    arrays = _tensors(config, chance, seed)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    _write_weights(folder, arrays, dtype, layout)
    return RandomModel(folder, config, cut, dtype, layout, n_tokens)


def _config(kind: str, vocabulary_size: int, chance: random.Random) -> dict:
    def one_of(*values):
        return chance.choice(values)

    head, heads, shared = one_of(8, 16, 20, 32, 64), one_of(2, 3, 4, 6), one_of(1, 2, 3, 4, 6)
    config = {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "hidden_size": one_of(head * heads, *(n for n in (32, 48, 64, 96) if n % heads == 0)),
        "intermediate_size": one_of(32, 64, 80, 128),
        "num_hidden_layers": one_of(1, 2, 3),
        "num_attention_heads": heads,
        "num_key_value_heads": shared if heads % shared == 0 else heads,
        "head_dim": head,
        "vocab_size": vocabulary_size,
        "max_position_embeddings": one_of(64, 256, 4096),
        "rms_norm_eps": one_of(1e-5, 1e-6, 1e-3),
        "rope_theta": one_of(10_000.0, 10_000, 500_000.0, 1e6),
        "tie_word_embeddings": one_of(True, False),
        "sliding_window": one_of(*[None] * 9, 4096) if kind == "mistral" else None,
    }
    if kind in ("llama", "qwen3") and one_of(True, False, False):
        config["attention_bias"] = True
    if kind == "llama" and one_of(True, False, False):
        config["mlp_bias"] = True
    if kind in ("qwen2", "qwen3"):
        config |= {"sliding_window": one_of(None, 4096), "use_sliding_window": False}
        if one_of(*[False] * 9, True):
            config |= {"sliding_window": 32, "use_sliding_window": True, "max_window_layers": 0}
    config |= _rope(one_of)
    if one_of(*[False] * 14, True):
        config["hidden_act"] = one_of("gelu", "relu")
    for key in ("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "sliding_window",
                "tie_word_embeddings", "use_sliding_window"):  # fmt: skip
        if key in config and one_of(*[False] * 9, True):
            del config[key]
    return config


def _rope(one_of) -> dict:
    linear = {"rope_type": "linear", "factor": one_of(2.0, 4.0, 1.5)}
    llama3 = {"rope_type": "llama3", "factor": one_of(8.0, 2.0), "low_freq_factor": 1.0}
    llama3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": one_of(16, 64)}
    other = one_of({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
                   {"rope_type": "dynamic", "factor": 2.0})  # fmt: skip
    scaling = one_of(
        None, None, None, {"rope_type": "default"}, linear, linear, llama3, llama3, other
    )
    if scaling is None:
        return {}
    if scaling is linear and one_of(True, False):  # as before transformers 4.43
        scaling = {"type": "linear", "factor": linear["factor"]}
    if one_of(True, False):
        return {"rope_scaling": scaling}
    return {"rope_parameters": scaling | {"rope_theta": one_of(10_000.0, 250_000.0)}}


def _sizes(config: dict) -> tuple[int, int, int]:
    """Heads, heads of keys, and the size of one, as transformers fills in what is missing."""
    kind, heads = config["model_type"], config["num_attention_heads"]
    keys = config.get("num_key_value_heads", _KV_HEADS.get(kind, heads))
    default = 128 if kind == "qwen3" else config["hidden_size"] // heads
    return heads, keys, config.get("head_dim", default)


def _tensors(config: dict, chance: random.Random, seed: int) -> dict[str, np.ndarray]:
    heads, keys, head = _sizes(config)
    kind, hidden, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    rng = np.random.default_rng(seed)
    qkv_bias = kind == "qwen2" or (kind != "mistral" and config.get("attention_bias", False))
    o_bias = kind != "qwen2" and qkv_bias
    mlp_bias = config.get("mlp_bias", False)
    arrays: dict[str, np.ndarray] = {}

    def matrix(name: str, n_rows: int, n_cols: int, bias: bool) -> None:
        spread = chance.choice((1.0, 2.0)) / n_cols**0.5
        arrays[f"{name}.weight"] = rng.normal(0, spread, (n_rows, n_cols)).astype(np.float32)
        if bias:
            arrays[f"{name}.bias"] = rng.normal(0, 0.5, n_rows).astype(np.float32)

    def norm(name: str, n: int) -> None:
        arrays[f"{name}.weight"] = rng.uniform(0.5, 1.5, n).astype(np.float32)

    matrix("model.embed_tokens", config["vocab_size"], hidden, False)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        norm(at + "input_layernorm", hidden)
        matrix(at + "self_attn.q_proj", heads * head, hidden, qkv_bias)
        matrix(at + "self_attn.k_proj", keys * head, hidden, qkv_bias)
        matrix(at + "self_attn.v_proj", keys * head, hidden, qkv_bias)
        if kind == "qwen3":
            norm(at + "self_attn.q_norm", head)
            norm(at + "self_attn.k_norm", head)
        matrix(at + "self_attn.o_proj", hidden, heads * head, o_bias)
        norm(at + "post_attention_layernorm", hidden)
        matrix(at + "mlp.gate_proj", inner, hidden, mlp_bias)
        matrix(at + "mlp.up_proj", inner, hidden, mlp_bias)
        matrix(at + "mlp.down_proj", hidden, inner, mlp_bias)
    norm("model.norm", hidden)
    tied = config.get("tie_word_embeddings", False)
    output = chance.choice(("none", "same", "other") if tied else ("other",) * 5)
    if output == "other":
        matrix("lm_head", config["vocab_size"], hidden, False)
    elif output == "same":
        arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"]
    names = list(arrays)
    chance.shuffle(names)
    return {name: arrays[name] for name in names}


def _write_weights(folder: Path, arrays: dict, dtype: str, layout: str) -> None:
    if layout == "one file":
        write_safetensors(folder / "model.safetensors", arrays, dtype)
        return
    names = list(arrays)
    files = [f"model-{i + 1:05}-of-00002.safetensors" for i in range(2)]
    halves = dict(zip(files, (names[::2], names[1::2]), strict=True))
    for file, half in halves.items():
        write_safetensors(folder / file, {name: arrays[name] for name in half}, dtype)
    if layout == "shards":
        weight_map = {name: file for file, half in halves.items() for name in half}
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps(index), encoding="utf-8")


def _write_tokenizer(folder: Path, kind: str, chance: random.Random) -> tuple[str, int]:
    """Write a tokenizer; return its kind, and one more than its largest number."""
    names = [*PRE_TOKENIZERS]
    name = chance.choice([*names, *["SentencePiece"] * (len(names) // 2)])
    tokenizer = _sentence_piece(chance) if name == "SentencePiece" else _byte_level(name, chance)
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    if chance.random() < 0.5:
        tokenizer.add_tokens([tokenizers.AddedToken("<tool>", normalized=False)])
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>",
                "eos_token": "<|end|>", "clean_up_tokenization_spaces": False}  # fmt: skip
    opens, closes = chance.random() < 0.5, chance.random() < 0.25
    if opens or closes:
        parts = ["<|begin|>"] * opens + ["$A"] + ["<|end|>"] * closes
        numbers = [(t, tokenizer.token_to_id(t)) for t in ("<|begin|>", "<|end|>")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(parts), special_tokens=numbers
        )
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    says = name + " +BOS" * opens + " +EOS" * closes
    return says, 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())


def _byte_level(name: str, chance: random.Random) -> tokenizers.Tokenizer:
    steps = {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[name]}
    empty = {"type": "BPE", "vocab": {}, "merges": [], "ignore_merges": name in TAKES_WHOLE_WORDS}
    raw = {"version": "1.0", "added_tokens": [], "pre_tokenizer": steps, "model": empty}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(raw))
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    _train(tokenizer, chance, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def _sentence_piece(chance: random.Random) -> tokenizers.Tokenizer:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = tokenizers.Tokenizer(
        models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    _train(tokenizer, chance, special_tokens=pieces)
    raw = json.loads(tokenizer.to_str())
    # Bytes are ordinary tokens of the vocabulary, not added ones.
    raw["added_tokens"] = [t for t in raw["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(raw))
    spaces = normalizers.Replace(" ", SPACE)
    first = normalizers.Sequence([normalizers.Prepend(SPACE), spaces])
    meta = pre_tokenizers.Metaspace
    tokenizer.normalizer, tokenizer.pre_tokenizer = chance.choice(
        [
            *(
                (first, None),
                (spaces, None),
                (spaces, pre_tokenizers.Split(" ", "merged_with_previous")),
            ),
            (None, meta(prepend_scheme="first", split=False)),
            (None, meta(prepend_scheme="never", split=False)),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def _train(tokenizer: tokenizers.Tokenizer, chance: random.Random, **how) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=chance.choice((300, 330, 400)), show_progress=False, **how
    )
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
