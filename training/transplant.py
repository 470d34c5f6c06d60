"""Starts a training from the weights of a model with another vocabulary.

    python training/transplant.py OLD_FOLDER assets/fable-7m --state STATE

Tokens that both vocabularies have keep their rows of the embedding; a new one starts at the mean of
the old tokens that spell it. Everything else stays as it is.
"""

import argparse
from pathlib import Path

import torch
from network import Network
from safetensors.torch import load_file
from tokenizers import Tokenizer


def transplanted(old: torch.Tensor, before: Tokenizer, after: Tokenizer) -> torch.Tensor:
    """Embedding for the vocabulary of `after`, from the one for that of `before`."""
    known = before.get_vocab()
    rows = []
    for number in range(after.get_vocab_size()):
        token = after.id_to_token(number)
        if token in known:
            rows.append(old[known[token]])
        else:
            pieces = before.encode(after.decode([number]), add_special_tokens=False).ids
            rows.append(old[pieces].mean(0))
    return torch.stack(rows)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="folder of the trained model")
    parser.add_argument("folder", type=Path, help="folder with the new tokenizer")
    parser.add_argument("--state", type=Path, required=True, help="folder of the checkpoint")
    arguments = parser.parse_args()
    weights = {
        name.removeprefix("model."): weight.float()
        for name, weight in load_file(arguments.old / "model.safetensors").items()
    }
    tokenizers = [
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        for folder in (arguments.old, arguments.folder)
    ]
    weights["embed_tokens.weight"] = transplanted(weights["embed_tokens.weight"], *tokenizers)
    network = Network()
    network.load_state_dict(weights)
    arguments.state.mkdir(parents=True)
    place = {"step": 0, "shard": 0, "batch": 0, "seconds": 0.0}
    torch.save(
        {"network": network.state_dict(), "optimizers": [], "state": place},
        arguments.state / "checkpoint.pt",
    )
    (arguments.state / "training_log.csv").write_text("step,tokens,loss_nats,rate,seconds\n")


if __name__ == "__main__":
    main()
