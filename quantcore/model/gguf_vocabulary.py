"""A tokenizer as GGUF's metadata, both ways: byte-level BPE ("gpt2") and SentencePiece ("llama").

Source: docs/gguf.md of ggml. How text is cut before merging: `pre_tokenizers.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantcore.io import ModelError
from quantcore.io.gguf_writer import Value
from quantcore.io.strict_json import read_json_object
from quantcore.model.chat_templates import template_metadata
from quantcore.model.normalizing import SPACE, puts_space_first, refuse_changed_bytes
from quantcore.model.pre_tokenizers import FAMILY, PRE_TOKENIZERS, TAKES_WHOLE_WORDS

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
MAX_BYTES = 64 * 2**20
MAX_TOKEN = 256  # characters; longer parts of a hostile file's tokens are not looked for
MAX_MERGES = 2**20  # of 262,144 tokens, Gemma's can be made in 580,000 ways
MAX_TRIED = 2**22

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def vocabulary_metadata(folder: Path, vocabulary_size: int, adds_bos: bool) -> dict[str, Value]:
    """Metadata of the tokenizer in a Hugging Face folder.

    Parameters
    ----------
    adds_bos
        Whether a text is opened with BOS, as `Tokenizer` found: a setting says it, or what
        tokenizer.json does at the end.

    Raises
    ------
    ModelError
        If it is of a kind that llama.cpp has no name for, or the lab does not know.
    """
    raw = read_json_object(folder / "tokenizer.json", MAX_BYTES)
    model = raw.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise ModelError("tokenizer.json holds no vocabulary of the kind that GGUF can store.")
    added = [token for token in raw.get("added_tokens") or [] if isinstance(token, dict)]
    tokens, types = _tokens(model["vocab"], added, vocabulary_size)
    merges = [_merge(entry) for entry in model.get("merges") or []]
    if model.get("byte_fallback"):
        kind = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default"}
        scores = {"tokenizer.ggml.scores": _scores(tokens, merges)}
        first = np.bool_(puts_space_first(raw))
        types = [
            BYTE if type == NORMAL and _is_byte(token) else type
            for token, type in zip(tokens, types, strict=True)
        ]
        after: dict[str, Value] = {"tokenizer.ggml.add_space_prefix": first}
    else:
        refuse_changed_bytes(raw)
        kind = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": _name_of_cuts(raw)}
        scores = {}
        after = {"tokenizer.ggml.merges": merges}
    return {
        **kind,
        "tokenizer.ggml.tokens": tokens,
        **scores,
        "tokenizer.ggml.token_type": np.array(types, np.int32),
        **after,
        **_special_tokens(
            folder,
            {token.get("content"): token.get("id") for token in added},
            adds_bos,
            _closing(raw),
        ),
    }


def _tokens(vocab: dict[str, int], added, size: int) -> tuple[list[str], list[int]]:
    """Text and kind of every token number."""
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [UNUSED] * size
    special = {token.get("id"): bool(token.get("special")) for token in added}
    rows = [*vocab.items(), *((token.get("content"), token.get("id")) for token in added)]
    for text, number in rows:
        if not isinstance(text, str) or type(number) is not int or not 0 <= number < size:
            raise ModelError("tokenizer.json numbers its tokens beyond the model's vocabulary.")
        tokens[number] = text
        types[number] = CONTROL if special.get(number) else USER_DEFINED
        if number not in special:
            types[number] = NORMAL
    return tokens, types


def _merge(entry: Any) -> str:
    """Write a merge as its two parts with a space between; spaces inside a part are moved away."""
    if isinstance(entry, str):
        return entry
    if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(p, str) for p in entry)):
        raise ModelError("tokenizer.json has merges of a form that the lab does not know.")
    return " ".join(part.replace(" ", chr(ord(" ") + 256)) for part in entry)


def _scores(tokens: list[str], merges: list[str]) -> np.ndarray:
    """Rank of the merge that makes each token, negative: SentencePiece merges the highest first."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), rank)
    return np.array([-float(ranks.get(token, 0)) for token in tokens], np.float32)


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _name_of_cuts(raw: dict[str, Any]) -> str:
    """Find llama.cpp's name for the way in which a tokenizer.json cuts text before merging."""
    cuts = raw.get("pre_tokenizer") or {}
    steps = cuts.get("pretokenizers", [cuts]) if isinstance(cuts, dict) else []
    for name, known in PRE_TOKENIZERS.items():
        if [_essence(step) for step in steps] == [_essence(step) for step in known]:
            return name
    raise ModelError("tokenizer.json cuts text in a way for which the lab knows no name in GGUF.")


def _essence(step: Any) -> tuple:
    """Keep of a step what changes where text is cut."""
    if not isinstance(step, dict):
        return ()
    keys = ("type", "pattern", "behavior", "invert", "individual_digits")
    cuts = step.get("use_regex", True) if step.get("type") == "ByteLevel" else None
    return (*(json.dumps(step.get(key), sort_keys=True) for key in keys), cuts)


def _closing(raw: dict[str, Any]) -> str | None:
    """Token that a post-processor puts behind a text, None where there is none."""
    steps = raw.get("post_processor")
    steps = steps.get("processors", [steps]) if isinstance(steps, dict) else []
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict) or step.get("type") != "TemplateProcessing":
            continue
        parts = step.get("single")
        last = parts[-1] if isinstance(parts, list) and len(parts) > 1 else None
        special = last.get("SpecialToken") if isinstance(last, dict) else None
        if isinstance(special, dict) and isinstance(special.get("id"), str):
            return special["id"]
    return None


def _special_tokens(
    folder: Path, numbers: dict[Any, Any], adds_bos: bool, closing: str | None
) -> dict[str, Value]:
    """Numbers of the tokens that open and close a text, and the chat template.

    As gguf's SpecialVocab has it, what a post-processor puts behind a text is the token that ends
    one, whatever the settings call so, and a setting says whether it is put there.
    """
    settings = _optional(folder / "tokenizer_config.json")
    if settings and closing is not None:
        settings = {"add_eos_token": True} | settings | {"eos_token": closing}
    config = _optional(folder / "config.json")
    metadata: dict[str, Value] = {}
    for kind in ("bos", "eos", "unk", "pad"):
        entry = settings.get(f"{kind}_token")
        text = entry.get("content") if isinstance(entry, dict) else entry
        named = numbers.get(text) if isinstance(text, str) else None
        number = config.get(f"{kind}_token_id") if named is None else named
        if type(number) is int and number >= 0:
            key = {"unk": "unknown", "pad": "padding"}.get(kind, kind)
            metadata[f"tokenizer.ggml.{key}_token_id"] = np.uint32(number)
    if "tokenizer.ggml.bos_token_id" in metadata:  # llama.cpp would guess by the kind
        metadata["tokenizer.ggml.add_bos_token"] = np.bool_(adds_bos)
    if isinstance(adds := settings.get("add_eos_token"), bool):
        metadata["tokenizer.ggml.add_eos_token"] = np.bool_(adds)
    return metadata | template_metadata(folder, settings.get("chat_template"))


def _optional(path: Path) -> dict[str, Any]:
    return read_json_object(path, MAX_BYTES) if path.exists() else {}


def tokenizer_json(metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Write the tokenizer of a GGUF file as a tokenizer.json, and its tokenizer_config.json.

    Raises
    ------
    ModelError
        If the file has none, or one of a kind that the lab does not know.
    """
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise ModelError("The file holds no vocabulary.")
    types = np.asarray(metadata.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens)))
    if types.shape != (len(tokens),):
        raise ModelError("The file's vocabulary has not one kind for each token.")
    kind = metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        raw = _byte_level(metadata, tokens)
    elif kind == "llama":
        raw = _sentence_piece(metadata, tokens)
    else:
        raise ModelError(
            f"The file's tokenizer is of kind {str(kind)[:40]!r}; the lab reads gpt2 and llama."
        )
    raw["added_tokens"] = [
        {"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": bool(types[i] == CONTROL)}
        for i in np.flatnonzero(np.isin(types, (CONTROL, USER_DEFINED))).tolist()
    ]  # fmt: skip
    return json.dumps({"version": "1.0", "truncation": None, "padding": None} | raw), _settings(
        metadata, tokens
    )


def _byte_level(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any]:
    name = str(metadata.get("tokenizer.ggml.pre", "default"))
    if name not in FAMILY:
        raise ModelError(f"The file's tokenizer cuts text as {str(name)[:40]!r}, unknown here.")
    merges = metadata.get("tokenizer.ggml.merges")
    if not isinstance(merges, list) or any(" " not in merge[1:] for merge in merges):
        raise ModelError("The file's tokenizer has no merges that make sense.")
    known = set(tokens)
    pairs = [_pair(merge) for merge in merges]
    if lost := next((pair for pair in pairs if not known.issuperset((*pair, "".join(pair)))), None):
        raise ModelError(
            f"The file's tokenizer merges {lost[0][:40]!r} and {lost[1][:40]!r}, and one of the "
            "three is not among its tokens: the lab cannot cut texts as llama.cpp does."
        )
    return {
        "normalizer": {"type": "NFC"} if FAMILY[name] == "qwen2" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[FAMILY[name]]},
        "post_processor": None,
        "decoder": _BYTE_LEVEL | {"use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": pairs,
            "ignore_merges": name in TAKES_WHOLE_WORDS,
        },
    }


def _pair(merge: str) -> list[str]:
    """Take a merge apart as llama.cpp does: a further space belongs to the second part."""
    at = merge.index(" ", 1)
    return [merge[:at], merge[at + 1 :]]


def _sentence_piece(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any]:
    scores = np.asarray(metadata.get("tokenizer.ggml.scores", ()))
    if scores.shape != (len(tokens),):
        raise ModelError("The file's vocabulary has not one score for each token.")
    prefix = [{"type": "Prepend", "prepend": SPACE}]
    if metadata.get("tokenizer.ggml.add_space_prefix") is False:
        prefix = []
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    fuse = [{"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, spaces]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [back, *fuse, *strip]},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": _merges(tokens, scores),
            "unk_token": tokens[unknown] if 0 <= unknown < len(tokens) else None,
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }


def _merges(tokens: list[str], scores: np.ndarray) -> list[list[str]]:
    """Every way to make a token of two others; the best token first, as SentencePiece merges.

    Among sorted tokens, those that one begins with come before it: they are the ones that it still
    began with when the last of them was met.
    """
    known = {token: i for i, token in enumerate(tokens)}
    rows: list[tuple[int, int, int]] = []  # the token, and the two that make it
    begins: list[str] = []
    n_tried = 0
    for token in sorted(filter(None, known)):
        while begins and not token.startswith(begins[-1]):
            begins.pop()
        n_tried += len(begins)
        rows += [
            (known[token], known[left], known[right])
            for left in begins
            if (right := token[len(left) :]) in known
        ]
        if n_tried > MAX_TRIED or len(rows) > MAX_MERGES:
            raise ModelError("The file's tokens can be put together in more ways than any model's.")
        if len(token) < MAX_TOKEN:
            begins.append(token)
    made, first, second = np.array(rows, np.int64).reshape(-1, 3).T
    order = np.lexsort((second, first, -np.asarray(scores, np.float64)[made]))
    return [[tokens[first[i]], tokens[second[i]]] for i in order.tolist()]


def _settings(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for kind in ("bos", "eos"):
        number = metadata.get(f"tokenizer.ggml.{kind}_token_id")
        if type(number) is int and 0 <= number < len(tokens):
            settings[f"{kind}_token"] = tokens[number]
    adds = metadata.get("tokenizer.ggml.add_bos_token")
    # llama.cpp opens a text of these kinds where the file does not say otherwise.
    opens = metadata["tokenizer.ggml.model"] == "llama"
    opens = opens or str(metadata.get("tokenizer.ggml.pre")) in TAKES_WHOLE_WORDS
    settings["add_bos_token"] = opens if adds is None else adds
    return settings
