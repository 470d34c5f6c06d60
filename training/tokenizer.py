"""Trains the tokenizer: byte-level BPE of exactly 2,048 tokens on generated stories.

The splitting rule is llama.cpp's "smollm" (single digits, then GPT-2's regular expression), so
that a GGUF file of the model tokenizes there as it does here.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from quantcore.corpus import stories

BEGIN, END = "<|begin|>", "<|end|>"
VOCABULARY_SIZE = 2048


def train(n_stories: int) -> Tokenizer:
    """Train on so many stories."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = (story + "\n" for story in stories("tokenizer", n_stories))
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, 0)]
    )
    if tokenizer.get_vocab_size() != VOCABULARY_SIZE:
        raise SystemExit(f"the text gave only {tokenizer.get_vocab_size()} tokens")
    return tokenizer


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the model folder, such as assets/fable-7m")
    parser.add_argument("--stories", type=int, default=20_000)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train(arguments.stories).save(str(arguments.folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "add_bos_token": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
    }
    path = arguments.folder / "tokenizer_config.json"
    path.write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
