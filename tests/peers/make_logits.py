"""Record logits of transformers for tests/engine/model/test_llama.py.

By hand, with requirements-peers.txt: python -m tests.peers.make_logits
"""

import json

import numpy as np
import torch
import transformers

from tests.support.places import GOLDEN, ROOT

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}
CASES = {
    "llama": ("Llama", {"rope_parameters": LLAMA3, "attention_bias": True, "mlp_bias": True}),
    "llama_linear": ("Llama", {"rope_parameters": LINEAR, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
}
N_TOKENS = 60
N_SHIPPED = 256


def small(name, family, extra):
    """Record a random model of a family: its config, float16 weights, and logits in float32."""
    config = getattr(transformers, f"{family}Config")(**SIZES, **extra)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    rng = np.random.default_rng(len(name))
    weights = {}
    for key, parameter in model.named_parameters():
        spread = rng.normal(0, 0.3, parameter.shape)
        values = spread if parameter.dim() == 2 or "bias" in key else 1 + spread
        weights[key] = values.astype(np.float16)
        parameter.data = torch.from_numpy(weights[key].astype(np.float32))
    tokens = rng.integers(0, SIZES["vocab_size"], N_TOKENS)
    np.savez_compressed(
        GOLDEN / f"logits_{name}.npz",
        config=json.dumps(config.to_dict()),
        tokens=tokens,
        logits=logits_of(model, tokens),
        **weights,
    )


def shipped():
    """Logits of the shipped model on the start of its evaluation text, every eighth token's."""
    (folder,) = {path.parent for path in (ROOT / "assets").glob("*/config.json")}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = (folder / "evaluation.txt").read_text(encoding="utf-8")
    tokens = np.array(tokenizer(text)["input_ids"][:N_SHIPPED], np.int32)
    np.savez_compressed(
        GOLDEN / "logits_shipped.npz", tokens=tokens, logits=logits_of(model, tokens)[7::8]
    )


def logits_of(model, tokens):
    """(n,) tokens -> (n, vocabulary) float32."""
    with torch.no_grad():
        return model(torch.from_numpy(np.asarray(tokens, np.int64))[None]).logits[0].numpy()


if __name__ == "__main__":
    for case, (family, extra) in CASES.items():
        small(case, family, extra)
    shipped()
