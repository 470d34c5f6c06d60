"""Writes a checkpoint as a Hugging Face model folder in BF16, with the log of the training.

python training/export.py STATE assets/fable-7m
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from network import CONFIG
from safetensors.torch import save_file


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    saved = torch.load(arguments.state / "checkpoint.pt", weights_only=True)
    tensors = {
        f"model.{name}": weight.bfloat16().contiguous() for name, weight in saved["network"].items()
    }
    weights = arguments.folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    (arguments.folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    generation = {"bos_token_id": 0, "eos_token_id": 1, "do_sample": False}
    path = arguments.folder / "generation_config.json"
    path.write_text(json.dumps(generation, indent=2) + "\n")
    shutil.copy(arguments.state / "training_log.csv", arguments.folder / "training_log.csv")
    print(f"step {saved['state']['step']}")


if __name__ == "__main__":
    main()
