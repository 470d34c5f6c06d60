"""What a tokenizer.json does to a text before it is cut, as far as GGUF has a word for it.

llama.cpp changes no text of byte-level BPE, and of SentencePiece it only writes spaces as "▁", one
before the text unless `tokenizer.ggml.add_space_prefix` says no. A file of any other tokenizer
would give other tokens without a word.
"""

from typing import Any

from quantcore.io import ModelError

SPACE = "\u2581"  # what SentencePiece writes for a space
_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def differences(raw: dict[str, Any]) -> list[str]:
    """Say what llama.cpp does otherwise to some texts, and GGUF has no word for."""
    says = []
    if any(step.get("type") == "NFC" for step in _steps(raw, "normalizer")):
        says.append(
            "The model's tokenizer puts letters and their marks together first (NFC), and "
            "llama.cpp does not: texts with marks of their own have other tokens there."
        )
    metaspace = [s for s in _steps(raw, "pre_tokenizer") if s.get("type") == "Metaspace"]
    if any(step.get("prepend_scheme", "always") != "never" for step in metaspace):
        says.append(
            "The model's tokenizer puts no further space before a text that begins with one, and "
            "llama.cpp does: such texts have other tokens there, and so may texts with control "
            "tokens."
        )
    return says


def refuse_changed_bytes(raw: dict[str, Any]) -> None:
    """Refuse what byte-level BPE in a GGUF file cannot say; composing is left to be told of."""
    for step in _steps(raw, "normalizer"):
        if step.get("type") != "NFC":
            raise _unsaid(step)
    for step in _steps(raw, "pre_tokenizer"):
        if step.get("type") == "ByteLevel" and step.get("add_prefix_space", True):
            raise ModelError(
                "tokenizer.json puts a space before each text, which a GGUF file of byte-level BPE "
                "cannot say: its tokens would be others."
            )


def puts_space_first(raw: dict[str, Any]) -> bool:
    """Whether SentencePiece's text begins with a space of its own; refuse what GGUF cannot say."""
    first = False
    for step in _steps(raw, "normalizer"):
        if step.get("type") == "Prepend" and step.get("prepend") == SPACE:
            first = True
        elif {key: step.get(key) for key in _SPACES} != _SPACES:
            raise _unsaid(step)
    for step in _steps(raw, "pre_tokenizer"):
        if step.get("type") == "Metaspace" and step.get("replacement", SPACE) == SPACE:
            scheme = step.get("prepend_scheme", "always")
            first = first or (scheme != "never" and step.get("add_prefix_space", True))
        elif step.get("type") != "Split" or step.get("pattern") != {"String": " "}:
            raise _unsaid(step)  # of such a split nothing is left once spaces are written as "▁"
    return first


def _steps(raw: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """List the steps of a part of a tokenizer.json, those of sequences one after the other."""
    waiting, steps = [raw.get(part)], []
    while waiting:
        step = waiting.pop(0)
        if not isinstance(step, dict):
            continue
        inner = step.get("normalizers", step.get("pretokenizers"))
        if step.get("type") == "Sequence" and isinstance(inner, list):
            waiting = inner + waiting
        else:
            steps.append(step)
    return steps


def _unsaid(step: dict[str, Any]) -> ModelError:
    return ModelError(
        f"tokenizer.json changes a text by {str(step.get('type'))[:40]!r}, for which GGUF has no "
        "word: the file's tokens would be others."
    )
