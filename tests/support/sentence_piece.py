"""A small SentencePiece vocabulary as GGUF files have it: bytes, letters and a few words."""

from quantcore.model.gguf_vocabulary import BYTE, CONTROL, NORMAL, SPACE, tokenizer_json
from quantcore.model.tokenizer import Tokenizer

_CONTROLS = ["<unk>", "<s>", "</s>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_PIECES = [SPACE, *"abdestY", f"{SPACE}a", f"{SPACE}Y", "es"]


def sentence_piece_metadata() -> dict[str, object]:
    """Write the vocabulary as a GGUF file's metadata."""
    pieces = [*_CONTROLS, *_BYTES, *_PIECES]
    kinds = [CONTROL] * len(_CONTROLS) + [BYTE] * len(_BYTES) + [NORMAL] * len(_PIECES)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.scores": [-float(i) for i in range(len(pieces))],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def sentence_piece_tokenizer() -> Tokenizer:
    """Open it as the lab opens that of a file."""
    return Tokenizer(*tokenizer_json(sentence_piece_metadata()))
