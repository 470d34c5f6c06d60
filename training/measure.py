"""How good a checkpoint is: loss over the floor on the evaluation text, and the skills.

    python training/measure.py STATE assets/fable-7m

Weights are rounded to BF16 first, as they are stored. The same numbers come from
`python -m quantcore perplexity` and `skills` once the checkpoint is exported.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from network import Network
from tokenizers import Tokenizer

from quantcore.corpus.floor import token_floor

CONTEXT = 512


def load(state: Path) -> tuple[Network, int]:
    """Read the network of a checkpoint, rounded to BF16, and its step."""
    saved = torch.load(state / "checkpoint.pt", weights_only=True)
    network = Network()
    rounded = {name: weight.bfloat16().float() for name, weight in saved["network"].items()}
    network.load_state_dict(rounded)
    return network.eval(), saved["state"]["step"]


def chunks(tokenizer: Tokenizer, folder: Path):
    """Cut the text as llama-perplexity does.

    Returns inputs (chunks, 512), targets and floor in nats (chunks, 512 - 1).
    """
    encoded = tokenizer.encode((folder / "evaluation.txt").read_text(encoding="utf-8"))
    n_chunks = len(encoded.ids) // CONTEXT
    shape = (n_chunks, CONTEXT)
    ids = torch.tensor(encoded.ids[: n_chunks * CONTEXT]).view(shape)
    starts = np.array([start for start, _ in encoded.offsets])[: n_chunks * CONTEXT]
    inputs = ids.clone()
    inputs[:, 0] = 0
    return inputs, ids[:, 1:], token_floor(folder, starts).reshape(shape)[:, 1:]


@torch.no_grad()
def log_probabilities(network: Network, tokens) -> torch.Tensor:
    """Predict each token after the first: (chunks, 512 - 1, vocabulary), in nats."""
    rows = [network(batch)[:, :-1].log_softmax(-1) for batch in tokens.split(4)]
    return torch.cat(rows)


@torch.no_grad()
def skills(network: Network, tokenizer: Tokenizer, folder: Path, n: int) -> Counter:
    """Right answers by greedy decoding, of the first `n` prompts of each skill and level."""
    right, asked = Counter(), Counter()
    for entry in json.loads((folder / "skills.json").read_text(encoding="utf-8")):
        key = entry["skill"], entry["level"]
        if asked[key] == n:
            continue
        asked[key] += 1
        prompt = tokenizer.encode(entry["prompt"]).ids
        answer = tokenizer.encode(entry["answer"], add_special_tokens=False).ids
        logits = network(torch.tensor([prompt + answer]))[0]
        best = logits[len(prompt) - 1 : -1].argmax(-1)
        right[key] += best.tolist() == answer
    return Counter({key: 100 * right[key] / asked[key] for key in asked})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    network, step = load(arguments.state)
    tokens, targets, floor = chunks(tokenizer, arguments.folder)
    found = log_probabilities(network, tokens).gather(-1, targets[..., None])[..., 0]
    scored = slice(CONTEXT // 2, None)
    loss, least = -found[:, scored].mean().item(), floor[:, scored].mean()
    print(
        f"step {step}: loss {loss:.4f}, floor {least:.4f} nats, {100 * (loss / least - 1):+.1f} %"
    )
    for key, share in skills(network, tokenizer, arguments.folder, arguments.prompts).items():
        print(f"  {' '.join(key):18s} {share:5.1f} %")


if __name__ == "__main__":
    main()
