"""A small random model whose heads llama.cpp rotates, and the caches that it was run with."""

import numpy as np

from quantcore.model.config import read_config
from quantcore.model.names import expected_shapes
from tests.support import toy_model

# Heads of 128: keys are rotated by 128, values by 64.
CONFIG = read_config(
    toy_model.CONFIG
    | {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 64}
)
PAIRS = [
    *(("Q8_0", "F16"), ("F16", "Q8_0"), ("Q4_0", "F16"), ("F16", "Q4_0"), ("Q8_0", "Q4_0")),
    *(("Q5_1", "Q5_1"), ("Q5_0", "Q5_0"), ("Q4_1", "Q4_1"), ("IQ4_NL", "IQ4_NL")),
]
TOKENS = np.random.default_rng(7).integers(0, 64, 80)
N_KEPT = 16  # of whose last the logits were kept


def weights():
    """float32 by GGUF name."""
    rng = np.random.default_rng(3)
    shapes = expected_shapes(CONFIG)
    return {
        name: rng.normal(len(shape) == 1, 0.12, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def key(pair, rotation):
    """Name of a record."""
    return f"logits/{pair[0]}/{pair[1]}/{'rotated' if rotation else 'plain'}"
