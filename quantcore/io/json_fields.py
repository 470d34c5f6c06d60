"""Values of a stranger's config.json, checked one by one."""

import math
from typing import Any

from quantcore.io import ModelError

_LARGEST = {  # other sizes go up to 2^24
    "num_hidden_layers": 1_000,
    "hidden_size": 2**17,
    "intermediate_size": 2**20,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "head_dim": 2**12,
    "vocab_size": 2**22,
}


def size(raw: dict[str, Any], key: str, default: int | None = None) -> int:
    """Read a whole number from 1 to what a model can have; `ModelError` for anything else."""
    value = raw.get(key)
    if value is None:
        value = default
    if value is None:
        raise ModelError(f"config.json lacks {key}.")
    largest = _LARGEST.get(key, 2**24)
    if type(value) is not int or not 0 < value <= largest:
        raise ModelError(f"config.json has {key} {short(value)}; expected 1 to {largest:,}.")
    return value


def real(raw: dict[str, Any], key: str, default: float | None = None, *, largest: float) -> float:
    """Read a number above zero, at most `largest`; `ModelError` for anything else."""
    value = raw.get(key)
    if value is None:
        value = default
    if value is None:
        raise ModelError(f"config.json lacks {key}.")
    if type(value) not in (int, float) or not 0 < value <= largest or not math.isfinite(value):
        raise ModelError(
            f"config.json has {key} {short(value)}; expected a number up to {largest:g}."
        )
    return float(value)


def flag(raw: dict[str, Any], key: str, default: bool = False) -> bool:
    """Read true or false; `ModelError` for anything else."""
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise ModelError(f"config.json has {key} {short(value)}; expected true or false.")
    return value


def short(value: object) -> str:
    """Show a value from a stranger's file in at most 40 characters."""
    if type(value) is int and abs(value) >= 10**18:
        return "of more than 18 digits"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
