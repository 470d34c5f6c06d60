"""Count the weights of newer architectures with transformers' own classes, on the meta device.

    python -m tests.peers.make_newer_counts [N]

writes tests/golden/newer_counts.json again: for each family its own configuration in
`tests/support/newer_configs.py` and N random ones. Weights are the parameters of the class, without
what it ties; `corrections` are the router's corrections, which it keeps as buffers.
"""

import json
import random
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.support.newer_configs import FAMILIES, random_config
from tests.support.places import GOLDEN


def count(config):
    """Return the number of parameters and of corrections."""
    made = AutoConfig.for_model(**config, pad_token_id=0)  # theirs may be beyond a small vocabulary
    made = getattr(made, "text_config", made)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    model.tie_weights()
    weights = sum(each.numel() for each in {id(p): p for p in model.parameters()}.values())
    corrections = sum(b.numel() for n, b in model.named_buffers() if "e_score_correction" in n)
    return weights, corrections


def main(n_random=3):
    """Write the file."""
    rows = []
    for family, own in FAMILIES.items():
        draw = random.Random(family)
        for config in (own, *(random_config(family, draw) for _ in range(n_random))):
            weights, corrections = count(config)
            rows.append({"config": config, "weights": weights, "corrections": corrections})
            print(family, f"{weights:,}", corrections, flush=True)
    text = ",\n".join(json.dumps(row) for row in rows)
    (GOLDEN / "newer_counts.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
